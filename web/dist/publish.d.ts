import { n as publish, t as PublishOptions } from "./shared-publish.js";
export { PublishOptions, publish };