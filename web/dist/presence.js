export { t as followPresence } from "./shared-follow.js";
