import { n as publish, t as PublishOptions } from "./shared-publish.cjs";
export { PublishOptions, publish };