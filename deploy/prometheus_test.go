package deploy_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

const (
	alertsFile    = "prometheus/alerts.yaml"
	alertTests    = "prometheus/alerts_test.yaml"
	dashboardFile = "grafana/sluice.json"
)

// ruleFile is what the tests read of a file of rules.
type ruleFile struct {
	Groups []struct {
		Rules []struct {
			Alert, Expr string
			Annotations map[string]string
		}
	}
}

// alerts returns the rules, which promtool checks.
func alerts(t *testing.T) (all ruleFile) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(file(t, alertsFile)), &all); err != nil || len(all.Groups) != 1 || len(all.Groups[0].Rules) == 0 {
		t.Fatalf("%+v, %v", all, err)
	}
	return all
}

// TestAlerts checks the rules with promtool and runs their tests. Each alert must have one
// in which it fires, and one in which it does not.
func TestAlerts(t *testing.T) {
	promtool(t, "", "check", "rules", filepath.Base(alertsFile))
	promtool(t, "", "test", "rules", filepath.Base(alertTests))
	type check struct {
		Alertname string           `json:"alertname"`
		ExpAlerts []map[string]any `json:"exp_alerts"`
	}
	var suite struct {
		Tests []struct {
			AlertRuleTest []check `json:"alert_rule_test"`
		} `json:"tests"`
	}
	if err := yaml.Unmarshal([]byte(file(t, alertTests)), &suite); err != nil {
		t.Fatal(err)
	}
	quiet, firing := map[string]bool{}, map[string]bool{}
	for _, tt := range suite.Tests {
		for _, c := range tt.AlertRuleTest {
			if len(c.ExpAlerts) == 0 {
				quiet[c.Alertname] = true
			} else {
				firing[c.Alertname] = true
			}
		}
	}
	for _, rule := range alerts(t).Groups[0].Rules {
		if !quiet[rule.Alert] || !firing[rule.Alert] {
			t.Errorf("%s: a test in which it fires: %t, one in which it does not: %t", rule.Alert, firing[rule.Alert], quiet[rule.Alert])
		}
	}
}

// scraped are the series that a server shows, by metric, each with its labels.
type scraped map[string][]map[string]string

// scrape starts a server on disk, has it publish, and reads /metrics.
func scrape(t *testing.T) (page string) {
	t.Helper()
	keys := filepath.Join(t.TempDir(), "keys.yaml")
	named := fmt.Sprintf("keys:\n  - name: test\n    sha256: %x\n    publish: [{channel: \"*\", topics: [\"*\"]}]\n", sha256.Sum256([]byte(testKey)))
	if err := os.WriteFile(keys, []byte(named), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, nil, "serve", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--api-keys-file", keys, "--max-publishes-per-key", "1000")
	s.call(t, 201, "POST", "/v1/publish/a/t", "1")
	return s.call(t, 200, "GET", "/metrics", "")
}

// parse reads what a server shows.
func parse(t *testing.T, page string) scraped {
	t.Helper()
	text := expfmt.NewTextParser(model.UTF8Validation)
	families, err := text.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	all := scraped{}
	for name, family := range families {
		for _, m := range family.Metric {
			of := map[string]string{}
			for _, l := range m.Label {
				of[l.GetName()] = l.GetValue()
			}
			all[name] = append(all[name], of)
			if m.Histogram != nil {
				bucket := maps.Clone(of)
				bucket["le"] = "+Inf"
				all[name+"_bucket"] = append(all[name+"_bucket"], bucket)
			}
		}
	}
	return all
}

// added are the labels that a scrape adds.
var added = []string{"job", "instance"} //nolint:gochecknoglobals // never changes

// check checks that an expression is one of PromQL, that each metric in it exists, and that
// each value of a label in it does.
func (all scraped) check(t *testing.T, where, expr string) {
	t.Helper()
	parsed, err := parser.ParseExpr(expr)
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return
	}
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		selector, ok := n.(*parser.VectorSelector)
		if !ok || selector.Name == "up" { // which Prometheus makes
			return nil
		}
		for _, m := range selector.LabelMatchers {
			if slices.Contains(added, m.Name) || m.Name == labels.MetricName {
				continue
			}
			values := []string{m.Value}
			if m.Type == labels.MatchRegexp {
				values = strings.Split(m.Value, "|")
			}
			for _, value := range values {
				if !slices.ContainsFunc(all[selector.Name], func(of map[string]string) bool { return of[m.Name] == value }) {
					t.Errorf("%s: no %s has %s=%q", where, selector.Name, m.Name, value)
				}
			}
		}
		if all[selector.Name] == nil {
			t.Errorf("%s: there is no metric %s", where, selector.Name)
		}
		return nil
	})
	for _, by := range regexp.MustCompile(`\bby \(([^)]*)\)`).FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(by[1], ", ") {
			if !slices.Contains(added, label) && label != "le" && !strings.Contains(expr, label+"=") && !all.hasLabel(parsed, label) {
				t.Errorf("%s: nothing in %s has a label %s", where, expr, label)
			}
		}
	}
}

// hasLabel reports whether one of the metrics in the expression has the label.
func (all scraped) hasLabel(parsed parser.Expr, label string) (has bool) {
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		if selector, ok := n.(*parser.VectorSelector); ok {
			for _, of := range all[selector.Name] {
				_, found := of[label]
				has = has || found
			}
		}
		return nil
	})
	return has
}

// TestMetrics_check runs promtool check metrics.
func TestMetrics_check(t *testing.T) { promtool(t, scrape(t), "check", "metrics") }

// TestMetrics_exist: a server shows every metric that a rule, the dashboard or the
// documentation names.
func TestMetrics_exist(t *testing.T) {
	all := parse(t, scrape(t))
	for _, rule := range alerts(t).Groups[0].Rules {
		all.check(t, rule.Alert, rule.Expr)
		if rule.Annotations["summary"] == "" {
			t.Errorf("%s has no summary", rule.Alert)
		}
	}
	for _, p := range dashboard(t).Panels {
		for _, target := range p.Targets {
			all.check(t, p.Title, target.query())
		}
	}
	documented := regexp.MustCompile(`\bsluice_[a-z_]+`).FindAllString(file(t, "../docs/operating.md"), -1)
	for _, name := range documented {
		if all[name] == nil {
			t.Errorf("docs/operating.md names %s, which there is not", name)
		}
	}
}

// board is a dashboard of Grafana, as far as the test looks.
type board struct {
	Title, UID string
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []panel
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Datasource               *struct{ Type, UID string }
	Targets                  []target
}

type target struct{ RefID, Expr, LegendFormat string }

// query returns the expression with values in place of Grafana's variables.
func (t target) query() string {
	return strings.NewReplacer("$__rate_interval", "5m", `"$job"`, `".*"`, `"$instance"`, `".*"`).Replace(t.Expr)
}

func dashboard(t *testing.T) (b board) {
	t.Helper()
	if err := json.Unmarshal([]byte(file(t, dashboardFile)), &b); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDashboard: the panels have what a reader needs, do not overlap, and use variables that
// there are.
func TestDashboard(t *testing.T) {
	b := dashboard(t)
	variables := []string{"__rate_interval"}
	for _, v := range b.Templating.List {
		variables = append(variables, v.Name)
	}
	for _, used := range regexp.MustCompile(`\$\{?(\w+)`).FindAllStringSubmatch(file(t, dashboardFile), -1) {
		if !slices.Contains(variables, used[1]) && used[1] != "__all" {
			t.Errorf("there is no variable %s", used[1])
		}
	}
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range b.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("%s has the id %d, as another panel", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W < 1 || p.GridPos.H < 1 {
			t.Errorf("%s is at %+v, and there are 24 columns", p.Title, p.GridPos)
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				cell := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other, ok := taken[cell]; ok {
					t.Fatalf("%s covers %s", p.Title, other)
				}
				taken[cell] = p.Title
			}
		}
		if p.Type != "row" {
			checkPanel(t, p)
		}
	}
	if b.Title == "" || b.UID == "" || len(b.Panels) < 10 {
		t.Errorf("%q, %q, %d panels", b.Title, b.UID, len(b.Panels))
	}
}

func checkPanel(t *testing.T, p panel) {
	t.Helper()
	if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 || p.Datasource == nil || p.Datasource.UID != "${datasource}" {
		t.Errorf("%s lacks something: %+v", p.Title, p)
	}
	refs := map[string]bool{}
	for _, target := range p.Targets {
		if refs[target.RefID] || len(p.Targets) > 1 && target.LegendFormat == "" {
			t.Errorf("%s: the target %s is there twice, or has no legend", p.Title, target.RefID)
		}
		refs[target.RefID] = true
		for _, label := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(target.LegendFormat, -1) {
			if !strings.Contains(target.Expr, "by (") || !strings.Contains(target.Expr, label[1]) {
				t.Errorf("%s: the legend names %s, which %s does not keep", p.Title, label[1], target.Expr)
			}
		}
	}
}

// promtool runs the tool of Prometheus: the one that scripts/setup has put into .cache, or
// that of the system. It fails the test if the tool finds anything.
func promtool(t *testing.T, input string, args ...string) {
	t.Helper()
	tool, err := filepath.Abs("../.cache/promtool")
	if _, missing := os.Stat(tool); missing != nil {
		tool, err = exec.LookPath("promtool")
	}
	if err != nil {
		t.Skip("promtool is not there; scripts/setup gets it where apt-get may be used")
	}
	cmd := exec.CommandContext(t.Context(), tool, args...)
	cmd.Dir, cmd.Stdin = filepath.Dir(alertsFile), strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
