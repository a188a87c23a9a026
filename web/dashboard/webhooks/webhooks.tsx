import type { JSX } from "preact";
import { useAnswer } from "../base/answer.js";
import { ago, count } from "../base/format.js";
import type { Webhook, WebhookList } from "../base/types.js";
import { Head } from "../parts/panel.js";
import { Answered, Empty } from "../parts/state.js";
import { useNow } from "../parts/clock.js";

/** Where events are posted to, and how that goes. */
export function Webhooks(): JSX.Element {
  const answer = useAnswer<WebhookList>("v1/webhooks", {}, 3000);
  return (
    <>
      <Head title="Webhooks">
        {answer.data?.sending === false && answer.data.webhooks.length > 0 && (
          <p class="muted">Another node sends the events. These are its settings.</p>
        )}
      </Head>
      {answer.status === 404 ? (
        <div class="panel">
          <None />
        </div>
      ) : (
        <Answered answer={answer}>
          {({ webhooks }) =>
            webhooks.length === 0 ? (
              <div class="panel">
                <None />
              </div>
            ) : (
              <div class="stack">
                {webhooks.map((webhook, i) => (
                  <Card key={`${i} ${webhook.url}`} webhook={webhook} />
                ))}
              </div>
            )
          }
        </Answered>
      )}
    </>
  );
}

function None(): JSX.Element {
  return (
    <Empty title="No webhooks are configured">
      The server can post to your services when something happens, such as the end of a run. Its setting <code>--webhooks</code> names a
      file that says where to.
    </Empty>
  );
}

function Card({ webhook }: { webhook: Webhook }): JSX.Element {
  const {
    url,
    events,
    channels,
    pending,
    delivered,
    given_up: givenUp,
    last_attempt: lastAttempt,
    last_status: status,
    last_error: error,
    next_attempt: next,
  } = webhook;
  const now = useNow();
  const tone = error ? "pill-bad" : lastAttempt ? "pill-good" : "";
  return (
    <section class="panel webhook" aria-label={url}>
      <header class="panel-head">
        <h2 class="detail-name">{url}</h2>
        <span class={`pill ${tone}`}>{error ? "Fails" : lastAttempt ? "Works" : "Nothing sent yet"}</span>
      </header>
      <div class="webhook-figures">
        <Figure name="Waiting" value={pending} />
        <Figure name="Delivered" value={delivered} />
        <Figure name="Given up" value={givenUp} />
      </div>
      <p class="webhook-more">
        {events.includes("*") ? "All events" : events.join(", ")} of {channels.join(", ") || "no channel"}
        {lastAttempt && ` · last attempt ${ago(lastAttempt, now)}${status ? `, answered ${status}` : ""}`}
        {next && ` · next one ${clockIn(next, now)}`}
      </p>
      {error && (
        <p class="webhook-more outcome" data-ok="false">
          {error}
        </p>
      )}
    </section>
  );
}

function clockIn(time: string, now: number): string {
  const seconds = Math.ceil((Date.parse(time) - now) / 1000);
  return seconds > 0 ? `in ${count(seconds)} s` : "now";
}

function Figure({ name, value }: { name: string; value: number }): JSX.Element {
  return (
    <div>
      <p class="tile-value">{count(value)}</p>
      <p class="muted">{name}</p>
    </div>
  );
}
