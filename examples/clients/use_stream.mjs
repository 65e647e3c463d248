// LangGraph's React hook, useStream, against a LangGraph server. In a browser you need none of
// jsdom; here it stands in for one, so that the example runs under Node:
//   npm install && COOPER_URL=http://127.0.0.1:2024 COOPER_TOKEN=... node use_stream.mjs
import { JSDOM } from "jsdom";

const { window } = new JSDOM("<div id='root'></div>", { url: "http://localhost" });
Object.assign(globalThis, { window, document: window.document, sessionStorage: window.sessionStorage });
globalThis.navigator ??= window.navigator; // newer versions of Node have one

const { createElement: h, useEffect, useState } = await import("react");
const { createRoot } = await import("react-dom/client");
const { useStream } = await import("@langchain/langgraph-sdk/react");

const url = process.env.COOPER_URL ?? "http://127.0.0.1:2024";
const said = process.argv[2] ?? "I lost my job.";

function Talk() {
  const [agents, setAgents] = useState({});
  const [asked, setAsked] = useState(false);
  const talk = useStream({
    apiUrl: url,
    assistantId: "esc",
    messagesKey: "messages",
    defaultHeaders: { Authorization: `Bearer ${process.env.COOPER_TOKEN ?? ""}` },
    onCustomEvent: (event) => {
      if (event.type === "agent" && event.status === "completed")
        setAgents((before) => ({ ...before, [event.aspect]: event.stage }));
    },
    onError: (error) => fail(error),
  });
  useEffect(() => {
    const messages = [{ type: "human", content: said }];
    talk.submit({ messages }, { streamSubgraphs: true, multitaskStrategy: "enqueue" });
    setAsked(true);
  }, []);
  useEffect(() => {
    const reply = talk.messages.at(-1);
    if (asked && !talk.isLoading && reply?.type === "ai") finish(reply.content, agents);
  });
  return talk.messages.map((message) => h("p", { key: message.id }, message.content));
}

function finish(reply, agents) {
  console.log("agents:", Object.keys(agents).sort().join(", "));
  console.log("shown:", [...document.querySelectorAll("p")].map((one) => one.textContent).join(" | "));
  console.log("reply:", reply);
  process.exit(0);
}

function fail(error) {
  console.error(String(error));
  process.exit(1);
}

setTimeout(() => fail("no reply came in two minutes"), 120_000);
createRoot(document.getElementById("root")).render(h(Talk));
