import { t as SluiceError } from "./shared-error.js";
import { a as staticSchema, t as subscribe } from "./shared-subscribe.js";
// src/channel.ts
function channel({ name, topics }) {
	if (typeof name === "string") return one(name, name, topics);
	const $template = name(new Proxy({}, { get: (_, key) => `{${String(key)}}` }));
	const named = (params) => {
		if (Object.values(params).every((value) => /^[^:*]+$/.test(value))) return one(name(params), $template, topics);
		throw new TypeError("Bad channel parameter");
	};
	return Object.assign(named, {
		$template,
		$topics: topics
	});
}
function one(name, template, topics) {
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
export { SluiceError, channel, staticSchema, subscribe };
