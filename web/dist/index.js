import { a as channel, c as text, n as subscribe, p as staticSchema } from "./shared-subscribe.js";
import { d as SluiceError } from "./shared-request.js";
export { SluiceError, channel, staticSchema, subscribe, text };
