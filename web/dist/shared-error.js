// src/error.ts
/** Whatever goes wrong between a program and the server. */
var SluiceError = class extends Error {
	name = "SluiceError";
	/** The HTTP status; 0: there was no answer. */
	status = 0;
	constructor(code, message, details) {
		super(message);
		Object.assign(this, details, { code });
	}
};
export { SluiceError as t };
