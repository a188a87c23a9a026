// An Inngest server for tests, in the process: it is told of functions, starts runs for events, calls
// the functions as often as their steps need it, and tries again what has failed, at once.

import { randomUUID } from "node:crypto";
import { setImmediate } from "node:timers/promises";

const RETRIES = 3; // unless the function has another number
const HEADERS = { Host: "app.test", "Content-Type": "application/json" };

/**
 * @returns an object whose `fetch` is what an Inngest client sends its requests with
 */
export function startInngest() {
  const runs = [];
  let functions = [];
  let serve;

  async function fetch(input, init) {
    const { pathname } = new URL(String(input));
    const body = JSON.parse(init.body);
    if (pathname === "/fn/register") {
      functions = body.functions;
      return Response.json({ ok: true, modified: true });
    }
    if (!pathname.startsWith("/e/")) return Response.json({ error: `no ${pathname} here` }, { status: 404 });
    return Response.json({ status: 200, ids: body.map((event) => trigger(event)) });
  }

  function trigger(event) {
    const id = randomUUID();
    for (const fn of functions) {
      if (fn.triggers.some((each) => each.event === event.name && holds(each.expression, event))) start(fn, { ...event, id });
    }
    return id;
  }

  function start(fn, event) {
    const run = { id: randomUUID(), functionId: fn.id, event, status: "running", requests: 0, steps: {}, stack: [], attempt: 0 };
    runs.push(run);
    // Not before whoever has sent the event is told so.
    run.done = setImmediate().then(() => execute(fn, run));
  }

  async function execute(fn, run) {
    const retries = Object.values(fn.steps)[0].retries?.attempts ?? RETRIES;
    let step = "step"; // which one is to be executed: this one stands for whatever comes next
    while (run.status === "running") {
      const { status, body, headers } = await call(fn, run, step, retries + 1);
      const last = run.attempt >= retries || headers.get("x-inngest-no-retry") === "true";
      run.attempt++;
      if (run.status !== "running") break; // it was cancelled meanwhile
      if (status === 0) continue; // the answer was lost
      if (status === 200) end(run, "completed", { output: body });
      else if (status !== 206) {
        if (last) end(run, "failed", { error: body });
      } else {
        step = "step";
        for (const op of body) {
          if (op.op === "StepPlanned") step = op.id;
          else if (op.op === "WaitForEvent") await new Promise((resolve) => ((run.goOn = resolve), api.onWait(run)));
          else if (op.op === "StepError" && !last) continue;
          else if (op.op === "StepError" || op.op === "StepFailed") settle(run, op, { type: "error", error: op.error });
          else settle(run, op, { type: "data", data: op.data });
        }
      }
    }
  }

  async function call(fn, run, step, attempts) {
    const url = new URL(Object.values(fn.steps)[0].runtime.url);
    url.searchParams.set("stepId", step);
    run.requests++;
    const response = await serve(
      new Request(url, {
        method: "POST",
        headers: HEADERS,
        body: JSON.stringify({
          version: 2,
          event: run.event,
          events: [run.event],
          steps: run.steps,
          ctx: {
            run_id: run.id,
            attempt: run.attempt,
            max_attempts: attempts,
            stack: { stack: run.stack, current: run.stack.length },
          },
        }),
      }),
    );
    const body = await response.json();
    const lost = api.loses(body, run);
    return { status: lost ? 0 : response.status, body, headers: response.headers };
  }

  function settle(run, op, result) {
    run.steps[op.id] = result;
    run.stack.push(op.id);
    run.attempt = 0;
  }

  function end(run, status, outcome) {
    Object.assign(run, { status, ...outcome });
    const { id: run_id, functionId: function_id, event, error } = run;
    if (status === "completed" || event.name.startsWith("inngest/")) return;
    trigger({ name: `inngest/function.${status}`, data: { function_id, run_id, event, events: [event], error } });
  }

  const api = {
    fetch,
    /** All runs, in the order in which they were started. */
    runs,
    /** Which functions there are. */
    functions: () => functions,
    /** Reports whether an answer is to get lost, as if the application had been killed after its work. A test can replace it. */
    loses: (body, run) => false,
    /** Is called when a run waits for an event, which never comes. */
    onWait: (run) => {},
    /** Is told what `serve` of the SDK returns, and has it register its functions. */
    async connect(handler) {
      serve = handler;
      const response = await handler(new Request("http://app.test/api/inngest", { method: "PUT", headers: HEADERS }));
      if (!response.ok) throw new Error(`the functions were not registered: ${await response.text()}`);
    },
    /** Cancels a run, which waits for an event. */
    cancel(run) {
      end(run, "cancelled", { error: { name: "Error", message: "function cancelled" } });
      run.goOn();
    },
    /** Gives up on a run as if its application had been gone for too long. */
    giveUp(run) {
      end(run, "failed", { error: { name: "Error", message: "the application does not answer" } });
      run.goOn();
    },
    /** Waits until no run is left. */
    async idle() {
      for (const run of runs) await run.done; // also those that begin meanwhile
    },
  };
  return api;
}

/** Evaluates the only expression that is used here. */
function holds(expression, event) {
  if (!expression) return true;
  const [, id] = /^event\.data\.function_id == '([^']*)'$/.exec(expression);
  return event.data.function_id === id;
}
