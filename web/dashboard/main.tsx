import { render } from "preact";
import { App } from "./app.js";
import { followAddress } from "./base/route.js";
import { enter } from "./base/session.js";

// A development server puts a key into the page when it is opened on the same machine.
const meta = document.querySelector<HTMLMetaElement>("meta[name=sluice-key]");
const own = meta?.content ?? "";
meta?.remove();

followAddress();
if (own) void enter(own);
render(<App ownKey={own} />, document.getElementById("app")!);
