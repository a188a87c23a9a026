// src/position.ts
/** The life of the log that a position belongs to. Positions of one can be compared; of other forms, none can. */
function epochOf(position) {
	return /^(\w+)-\d+$/.exec(position)?.[1];
}
/** Whether a is surely not after b. */
function covered(a, b) {
	const epoch = epochOf(a);
	return a === b || !!epoch && epoch === epochOf(b) && +a.slice(epoch.length) >= +b.slice(epoch.length);
}
export { epochOf as n, covered as t };
