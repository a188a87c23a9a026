// The AI SDK's version 6. Version 7 needs a later Node.js: see matrix/ai7.test.js.

import { testChat } from "./ai.js";

testChat("ai", "@ai-sdk/react");
