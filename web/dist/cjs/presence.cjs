Object.defineProperty(exports, Symbol.toStringTag, { value: "Module" });
const require_follow = require("./shared-follow.cjs");
exports.followPresence = require_follow.followPresence;
