// The AI SDK's version 7, whose server side needs Node.js 22.

import { testChat } from "../e2e/ai.js";
import { installed } from "./project.js";

const { file, skip } = installed("node-22/bin/node");
testChat("ai7", "ai7-react", { node: file, skip });
