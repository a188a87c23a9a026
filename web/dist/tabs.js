import { t as SluiceError } from "./shared-error.js";
import { t as covered } from "./shared-position.js";
// src/tabs.ts
/** Ends of a stream that another connection would not change: an administrator wants nobody there, or the channel is gone. */
const FOR_ALL = [4403, 4410];
/**
* Shares one connection among the tabs of a browser that give the same name: those of one user on
* one server, since all see what the leader's token grants. Pass it to subscribe() as `shareTabs`.
*
* The leader is the tab that holds a Web Lock. It serves members of other tabs like its own and
* tells them by a BroadcastChannel. Each tab keeps the positions of its members, so whoever leads
* next goes on from there. A tab that hears nothing from its leader for as long as a connection
* may be silent, or that is refused what the leader's token does not grant, connects by itself.
* Without Web Locks (they need a secure context) each tab does.
*/
function tabs(name) {
	return (source, route) => {
		if (!(globalThis.navigator?.locks && globalThis.BroadcastChannel)) return source;
		const key = `sluice ${route.url} ${name}`;
		const known = hubs.get(key) ?? createTabHub(key, source, route, () => hubs.delete(key));
		hubs.set(key, known);
		return known;
	};
}
/** How long members of other tabs are gathered: each comes by a word of its own. */
const GATHER_MS = 20;
/** The hubs of this tab that are in use. */
const hubs = /* @__PURE__ */ new Map();
function createTabHub(name, source, { silenceMs }, onLeft) {
	const tab = crypto.randomUUID();
	const own = /* @__PURE__ */ new Map();
	const remote = /* @__PURE__ */ new Map();
	const guests = /* @__PURE__ */ new Map();
	let arriving = [];
	const watched = /* @__PURE__ */ new Set();
	let bus;
	let leaving = new AbortController();
	let present = false;
	let leads = false;
	let watch;
	const say = (word) => bus?.postMessage(word);
	function enter() {
		const { signal } = leaving = new AbortController();
		const untilLeft = () => new Promise((resolve) => signal.addEventListener("abort", () => resolve()));
		bus = new BroadcastChannel(name);
		bus.onmessage = ({ data }) => {
			if (data.say !== "join") return hear(data);
			if (!leads) return;
			serve(data);
			if (watched.has(data.tab)) return;
			watched.add(data.tab);
			lock(data.tab, signal, () => lose(data.tab));
		};
		lock(tab, signal, () => {
			present = true;
			remote.forEach((member, id) => follow(id, member));
			return untilLeft();
		});
		lock(name, signal, () => {
			leads = true;
			clearTimeout(watch);
			for (const member of remote.values()) source.add(member);
			remote.clear();
			say({ say: "lead" });
			return untilLeft();
		});
	}
	function leave() {
		clearTimeout(watch);
		for (const id of guests.keys()) dismiss(id);
		watched.clear();
		leads = present = false;
		leaving.abort();
		bus?.close();
		onLeft();
	}
	function follow(id, member) {
		const { channels, topics, replay, alone, position } = member;
		remote.set(id, member);
		if (present) say({
			say: "join",
			id,
			tab,
			wish: {
				channels,
				topics,
				replay,
				alone,
				position
			}
		});
	}
	/** Waits for a word of the leader. */
	function listen() {
		clearTimeout(watch);
		if (silenceMs) watch = setTimeout(() => remote.forEach((member, id) => goAlone(id, member)), silenceMs);
	}
	function goAlone(id, member) {
		remote.delete(id);
		say({
			say: "leave",
			id
		});
		source.add(member);
	}
	function hear(word) {
		if (word.say === "leave") return dismiss(word.id);
		listen();
		if (word.say === "lead") return remote.forEach((member, id) => follow(id, member));
		const member = remote.get(word.id);
		if (!member) return;
		if ("error" in word) {
			const error = new SluiceError(word.error.code, word.error.message, word.error);
			if (word.say === "lost") return member.lost(error);
			if (!FOR_ALL.includes(Number(error.code))) return goAlone(word.id, member);
			remote.delete(word.id);
			return member.failed(error, word.closed);
		}
		if (word.at && !(member.position && covered(word.at, member.position))) member.position = word.at;
		member.take(word.type, word.value, word.at);
	}
	function serve({ id, tab: home, wish }) {
		const tell = (what, { code, message, status }, closed) => {
			say({
				say: what,
				id,
				closed,
				error: {
					code,
					message,
					status
				}
			});
		};
		const guest = {
			...wish,
			tab: home,
			take: (type, value, at) => say({
				say: "take",
				id,
				type,
				value,
				at
			}),
			lost: (error) => tell("lost", error, false),
			failed(error, closed) {
				guests.delete(id);
				tell("failed", error, closed);
			}
		};
		dismiss(id);
		guests.set(id, guest);
		if (arriving.push(guest) === 1) setTimeout(admit, GATHER_MS);
	}
	/** Lets those in together who have come together: so one connection serves all whom the last leader left. */
	function admit() {
		const here = new Set(guests.values());
		for (const guest of arriving) if (here.has(guest)) source.add(guest);
		arriving = [];
	}
	function lose(gone) {
		watched.delete(gone);
		for (const [id, guest] of guests) if (guest.tab === gone) dismiss(id);
	}
	function dismiss(id) {
		const guest = guests.get(id);
		if (guest) source.remove(guest);
		guests.delete(id);
	}
	return {
		add(member) {
			if (!own.size) enter();
			const id = crypto.randomUUID();
			own.set(member, id);
			if (leads) return source.add(member);
			follow(id, member);
			listen();
		},
		remove(member) {
			const id = own.get(member);
			if (!id) return;
			own.delete(member);
			if (remote.delete(id)) say({
				say: "leave",
				id
			});
			else source.remove(member);
			if (!own.size) leave();
		}
	};
}
/** Waits for a lock until the signal, and holds it until what held() returns is fulfilled. */
function lock(name, signal, held) {
	navigator.locks.request(name, { signal }, held).catch(() => {});
}
export { tabs };
