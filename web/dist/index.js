import { n as text, t as channel } from "./shared-channel.js";
import { d as SluiceError } from "./shared-request.js";
import { a as staticSchema, t as subscribe } from "./shared-subscribe.js";
export { SluiceError, channel, staticSchema, subscribe, text };
