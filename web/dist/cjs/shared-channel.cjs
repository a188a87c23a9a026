const require_subscribe = require("./shared-subscribe.cjs");
// src/channel.ts
/**
* Defines a topic that carries texts, which are streamed while they are written. All other topics
* carry messages that are published as a whole. A subscription refuses what is not of its topic's kind
* (`onInvalid`).
*
* @example channel({ name: "chat", topics: { answer: text() } })
*/
function text() {
	return { schema: require_subscribe.textSchema() };
}
function channel({ name, topics }) {
	if (typeof name === "string") return one(name, name, topics);
	const $template = name(new Proxy({}, { get: (_, key) => `{${String(key)}}` }));
	const named = (params) => {
		const asked = /* @__PURE__ */ new Set();
		const text = name(new Proxy(params, { get: (target, key) => (asked.add(key), target[key]) }));
		for (const key of asked) {
			const value = params[key];
			if (value == null && name({
				...params,
				[key]: String(value)
			}) === text) throw new TypeError(`No channel parameter ${String(key)}`);
		}
		if (Object.values(params).every((value) => value == null || /^[^:*]+$/.test(value))) return one(text, $template, topics);
		throw new TypeError("Bad channel parameter");
	};
	return Object.assign(named, {
		$template,
		$topics: topics
	});
}
function one(name, template, topics) {
	if ([name, ...Object.keys(topics)].some((each) => /(^|\/)\.\.?(\/|$)/.test(each))) throw new TypeError("Bad name");
	const refs = {
		$name: name,
		$template: template,
		$topics: topics
	};
	for (const topic in topics) refs[topic] = {
		channel: name,
		topic,
		schema: topics[topic].schema
	};
	return refs;
}
Object.defineProperty(exports, "channel", {
	enumerable: true,
	get: function() {
		return channel;
	}
});
Object.defineProperty(exports, "text", {
	enumerable: true,
	get: function() {
		return text;
	}
});
