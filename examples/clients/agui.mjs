// A turn of examples/agui.py with AG-UI's own client, which checks the protocol as it reads:
//   npm install && COOPER_URL=http://127.0.0.1:8000/agui node agui.mjs "I lost my job."
import { randomUUID } from "node:crypto";

import { HttpAgent } from "@ag-ui/client";

const cooper = new HttpAgent({
  url: process.env.COOPER_URL ?? "http://127.0.0.1:8000/agui",
  headers: { Authorization: `Bearer ${process.env.COOPER_TOKEN ?? ""}` },
  threadId: randomUUID(),
});
cooper.addMessage({ id: randomUUID(), role: "user", content: process.argv[2] ?? "I lost my job." });
await cooper.runAgent(
  {},
  {
    onActivitySnapshotEvent: ({ event: { content } }) => {
      if (content.stage === "progression" && content.status === "completed")
        console.log(`[${content.aspect}] ${content.summary} (${content.progress})`);
    },
    onCustomEvent: ({ event }) => {
      if (event.value.type === "help") console.log("help:", ...event.value.lines);
    },
    onTextMessageContentEvent: ({ event }) => process.stdout.write(event.delta),
    onRunErrorEvent: ({ event }) => console.error(event.message),
  },
);
console.log("\nroles:", cooper.messages.map((message) => message.role).join(", "));
console.log("kept:", cooper.messages.at(-1).content);
