import { n as Route, t as Pool } from "./shared-pool.cjs";

// src/tabs.d.ts
/**
* Shares one connection among the tabs of a browser that use the same name. Put the user into the
* name, because every tab sees what the leader's token grants. Pass the result to subscribe() as
* `shareTabs`.
*
* The leader is the tab that holds a Web Lock. It serves the members of other tabs like its own, over
* a BroadcastChannel. Each tab keeps the positions of its members, so the next leader resumes from
* there. A tab connects by itself if it hears nothing from the leader for as long as a connection may
* be silent, or if the leader's token does not grant what it wants. Without Web Locks, which need a
* secure context, every tab connects by itself.
*
* A tab whose members have no room tells the leader, which treats them like its own.
*/
declare function tabs(name: string): (pool: Pool, route: Route) => Pool;
export { tabs };