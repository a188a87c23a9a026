import { t as createServer } from "./shared-server.js";
import { c as text, p as staticSchema } from "./shared-subscribe.js";
import { d as SluiceError } from "./shared-request.js";
import { AsyncLocalStorage } from "node:async_hooks";
// src/inngest/calls.ts
function createCalls() {
	const storage = new AsyncLocalStorage();
	const current = () => storage.getStore() ?? {};
	return {
		current,
		run: (call, work) => storage.run({
			...current(),
			...call
		}, work)
	};
}
// src/inngest/fetch.ts
/**
* Returns a `fetch` that has Sluice answer the two requests of Inngest's realtime API: a publish, and a
* token to subscribe with. All other requests are passed on.
*/
function divert(to) {
	return async (input, init) => {
		const { pathname, searchParams } = new URL(input instanceof Request ? input.url : input);
		if (pathname === "/v1/realtime/publish") return answer(publish(to, searchParams, init.body));
		if (pathname === "/v1/realtime/token") return answer(issue(to, JSON.parse(init.body)));
		return to.fetch(input, init);
	};
}
/** A failure is thrown, since the SDK reports the message of an error, and of a response the status alone. */
async function answer(work) {
	return Response.json(await work);
}
async function publish({ sluice, calls }, query, body) {
	const { step, isText } = calls.current();
	const channel = query.get("channel");
	const runId = query.get("run_id") ?? void 0;
	const run = runId && step ? sluice.run(channel, runId) : void 0;
	for (const topic of query.getAll("topic")) if (typeof body === "string") {
		const ref = {
			channel,
			topic,
			schema: staticSchema()
		};
		const data = isText ? body : valueOf(body);
		await (run ? run.publish(step, ref, data) : sluice.publish(ref, data, { runId }));
	} else {
		const ref = {
			channel,
			topic,
			...text()
		};
		const source = body;
		await (run ? run.stream(step, ref, source) : sluice.stream(ref, source, { runId }));
	}
	return {};
}
/** Reads JSON, or else a string that was sent as it is. */
function valueOf(body) {
	try {
		return JSON.parse(body);
	} catch {
		return body;
	}
}
/** The SDK hands on a single string, so that is the address to subscribe at, with the token in it. */
async function issue({ sluice, ttl }, wanted) {
	const channels = wanted.slice(0, 1).map(({ channel }) => channel);
	const { subscribe_url } = await sluice.token({
		channels,
		topics: wanted.map(({ name }) => name),
		...ttl && { ttl }
	});
	return { jwt: subscribe_url };
}
// src/inngest/runs.ts
/** What Inngest sends when it has cancelled a run, and when it has given up on one. */
const CANCELLED = "inngest/function.cancelled";
const FAILED = "inngest/function.failed";
/** Returns the run of an execution. */
function runOf({ ctx: { event, events, runId }, fn }) {
	return {
		event,
		events,
		runId,
		functionId: fn.id()
	};
}
/** Returns the ending that the event of an execution tells of, if that is the end of another run of the same function. */
function endingOf({ ctx, fn }, appId) {
	const { name } = ctx.event;
	if (!["inngest/function.cancelled", "inngest/function.failed"].includes(name)) return void 0;
	const { function_id, run_id: runId, event, events = [event], error } = ctx.event.data;
	if (function_id !== fn.id(appId)) return void 0;
	const isFailure = name === FAILED;
	return {
		run: {
			event,
			events,
			runId,
			functionId: fn.id()
		},
		report: (handle) => isFailure ? handle.fail(error?.message) : handle.cancel(),
		isHandled: isFailure && !!fn.opts.onFailure
	};
}
/** Reports that a run has completed: without its result, if that is too large or cannot be written as JSON. */
async function complete(handle, result) {
	try {
		return await handle.complete(result);
	} catch (error) {
		if (error instanceof SluiceError && ["too-large", "malformed"].includes(error.code)) return handle.complete();
		throw error;
	}
}
// src/inngest/companion.ts
/**
* Registers a second function with each function, which Inngest calls when it has ended one of the
* function's runs by itself. Nothing else tells an application of that.
*/
function accompany(fn) {
	const { opts, getConfig } = fn;
	const withCompanion = (options) => {
		const configs = getConfig.call(fn, options);
		const companion = companionOf(configs[0], opts.onFailure ? [CANCELLED] : [CANCELLED, FAILED]);
		return configs.some(({ id }) => id === companion.id) ? configs : [...configs, companion];
	};
	Object.assign(fn, { getConfig: withCompanion });
}
function companionOf({ id, name, steps }, events) {
	const own = `${id}-run-status`;
	const called = Object.entries(steps).map(([step, { runtime }]) => {
		const url = new URL(runtime.url);
		url.searchParams.set("fnId", own);
		return [step, {
			id: step,
			name: step,
			runtime: {
				...runtime,
				url: url.href
			}
		}];
	});
	return {
		id: own,
		name: `${name} (run status)`,
		triggers: events.map((event) => ({
			event,
			expression: `event.data.function_id == '${id}'`
		})),
		steps: Object.fromEntries(called)
	};
}
// src/inngest/middleware.ts
/**
* Creates the middleware, which gives functions `publish`, tells a publish that is a step from others,
* and reports what becomes of runs.
*/
function createMiddleware(sluice, calls, runChannel) {
	async function report(run, send) {
		const channel = runChannel?.(run);
		if (channel) await send(sluice.run(channel, run.runId));
	}
	return class {
		id = "sluice:realtime";
		client;
		/** What the function publishes now may not have been published before. */
		#isNew = false;
		/** How many steps the function waits for. */
		#waiting = 0;
		constructor({ client }) {
			this.client = client;
		}
		static onRegister({ client, fn }) {
			const api = client.inngestApi;
			const { publish } = api;
			api.publish = (options, data) => calls.run({ isText: typeof data === "string" }, () => publish.call(api, options, data));
			if (!runChannel) return;
			if (fn) return accompany(fn);
			const { createFunction } = client;
			client.createFunction = ((...args) => {
				const created = createFunction(...args);
				accompany(created);
				return created;
			});
		}
		transformFunctionInput(arg) {
			const publish = async (ref, data) => {
				if (this.#isNew) await this.client.realtime.publish(ref, data);
			};
			return {
				...arg,
				ctx: {
					...arg.ctx,
					publish
				}
			};
		}
		onMemoizationEnd() {
			this.#isNew = true;
		}
		transformStepInput(arg) {
			if (++this.#waiting > 1) this.#isNew = true;
			return arg;
		}
		async wrapStep({ next }) {
			try {
				return await next();
			} finally {
				this.#waiting--;
			}
		}
		wrapStepHandler({ stepInfo, next }) {
			return stepInfo.stepType === "realtime.publish" ? calls.run({ step: stepInfo.hashedId }, next) : next();
		}
		async wrapFunctionHandler({ ctx, fn, next }) {
			const ending = endingOf({
				ctx,
				fn
			}, this.client.id);
			if (!ending) return next();
			const reported = report(ending.run, ending.report);
			if (!ending.isHandled) return reported;
			await reported.catch((err) => this.client.logger.error({ err }, "Sluice was not told that a run has failed"));
			return next();
		}
		onRunStart({ ctx, fn }) {
			return this.tell({
				ctx,
				fn
			}, (handle) => handle.start());
		}
		onRunComplete({ ctx, fn, output }) {
			return this.tell({
				ctx,
				fn
			}, (handle) => complete(handle, output));
		}
		onRunError({ ctx, fn, error, isFinalAttempt }) {
			return isFinalAttempt ? this.tell({
				ctx,
				fn
			}, (handle) => handle.fail(error)) : void 0;
		}
		/** Reports on the run of an execution, unless that is about the ending of another one. */
		tell(execution, send) {
			return endingOf(execution, this.client.id) ? void 0 : report(runOf(execution), send);
		}
	};
}
// src/inngest/realtime.ts
/**
* Makes the `inngest` package use Sluice for everything that Inngest calls realtime. Nothing else in an
* application changes. It sends nothing to the server.
*
* @throws TypeError for an invalid address or a missing API key
* @example
* const { fetch, middleware } = sluiceRealtime({ url, apiKey, runChannel: ({ event }) => `pipeline:${event.data.runId}` });
* const inngest = new Inngest({ id: "app", fetch, middleware: [middleware] });
*/
function sluiceRealtime(options) {
	const { url, apiKey, runChannel, ttl, fetch } = options;
	const sluice = createServer({
		url,
		apiKey,
		fetch
	});
	const calls = createCalls();
	const send = (input, init) => (fetch ?? globalThis.fetch)(input, init);
	return {
		fetch: divert({
			sluice,
			calls,
			ttl,
			fetch: send
		}),
		middleware: createMiddleware(sluice, calls, runChannel)
	};
}
export { sluiceRealtime };
