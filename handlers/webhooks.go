package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluicehq/sluice/webhooks"
)

// listWebhooks answers GET /v1/webhooks.
func (a *api) listWebhooks(c echo.Context) error {
	list := struct {
		Webhooks  []webhooks.Status `json:"webhooks"`
		Sending   bool              `json:"sending"`
		FileFault string            `json:"file_fault,omitempty"`
	}{Webhooks: []webhooks.Status{}, FileFault: a.Webhooks.Fault()}
	if a.Webhooks != nil {
		list.Webhooks, list.Sending = a.Webhooks.Status()
	}
	return answer(c, http.StatusOK, list)
}

// webhookFigures collects the figures of webhooks at each scrape.
type webhookFigures struct{ sender *webhooks.Sender }

// Describe implements [prometheus.Collector]. The collector is unchecked, so that Collect
// is the only list of its metrics.
func (webhookFigures) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (w webhookFigures) Collect(ch chan<- prometheus.Metric) {
	now := w.sender.Stats()
	emit := func(kind prometheus.ValueType, name, help string, value float64, reason ...string) {
		labels := []string{"reason"}[:len(reason)]
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, labels, nil), kind, value, reason...)
	}
	sending := 0.0
	if now.Sending {
		sending = 1
	}
	emit(prometheus.GaugeValue, "sluice_webhook_sending", "Whether this node is the one that sends events, for at least a part of the channels: 1 or 0.", sending)
	emit(prometheus.GaugeValue, "sluice_webhook_events_pending", "Events that are pending for a webhook, over all webhooks.", float64(now.Pending))
	emit(prometheus.CounterValue, "sluice_webhook_events_delivered_total", "Events that a webhook has accepted.", float64(now.Delivered))
	emit(prometheus.CounterValue, "sluice_webhook_failed_attempts_total", "Attempts to send an event that a webhook did not accept.", float64(now.FailedAttempts))
	for reason, n := range now.GivenUp {
		emit(prometheus.CounterValue, "sluice_webhook_events_given_up_total", "Events given up for a webhook.", float64(n), reason)
	}
}
