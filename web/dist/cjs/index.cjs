Object.defineProperty(exports, Symbol.toStringTag, { value: "Module" });
const require_subscribe = require("./shared-subscribe.cjs");
const require_request = require("./shared-request.cjs");
exports.SluiceError = require_request.SluiceError;
exports.channel = require_subscribe.channel;
exports.staticSchema = require_subscribe.staticSchema;
exports.subscribe = require_subscribe.subscribe;
exports.text = require_subscribe.text;
