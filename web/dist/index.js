import { a as text, n as channel, t as subscribe, u as staticSchema } from "./shared-subscribe.js";
import { d as SluiceError } from "./shared-request.js";
export { SluiceError, channel, staticSchema, subscribe, text };
