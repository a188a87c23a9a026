Object.defineProperty(exports, Symbol.toStringTag, { value: "Module" });
const require_channel = require("./shared-channel.cjs");
const require_request = require("./shared-request.cjs");
const require_subscribe = require("./shared-subscribe.cjs");
exports.SluiceError = require_request.SluiceError;
exports.channel = require_channel.channel;
exports.staticSchema = require_subscribe.staticSchema;
exports.subscribe = require_subscribe.subscribe;
exports.text = require_channel.text;
