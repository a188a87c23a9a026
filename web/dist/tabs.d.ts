import { n as Route, t as Source } from "./shared-hub.js";

// src/tabs.d.ts
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
declare function tabs(name: string): (source: Source, route: Route) => Source;
export { tabs };