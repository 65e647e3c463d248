// What is known of a turn, put together from its events. Events that come twice change nothing.

export const STAGES = ["tracker", "promoter", "progression"];
export const PASSIVE = "passive";

const blank = () => Object.fromEntries(STAGES.map((stage) => [stage, { status: "idle" }]));

export class Turn {
  /**
   * @param said The user's words; null where nothing new is said.
   * @param messageId The id of the message, to send it again.
   */
  constructor({ said = null, messageId = null, id = null } = {}) {
    this.id = id;
    this.said = said;
    this.messageId = messageId;
    this.agents = new Map(); // aspect: stage: { status, text, progress, parts, isReplaced }
    this.rankingParts = new Map();
    this.faults = new Map();
    this.help = null;
    this.pinned = null;
    this.error = null;
    this.stored = null; // the reply as the thread holds it
    this.isKept = true; // whether the server still has its events
    this.isRead = true; // whether its events were read
    this.isMissed = false; // whether reading them failed
    this.begin();
  }

  begin() {
    this.tokens = new Map();
    this.reply = null;
    this.status = "running";
  }

  apply(event) {
    this.id = event.turn;
    this.HEARD[event.type]?.call(this, event); // unknown types are of a later version
  }

  HEARD = {
    turn_started() {
      this.begin();
      this.error = null;
    },
    agent(event) {
      if (!this.agents.has(event.aspect)) this.agents.set(event.aspect, blank());
      const stage = this.agents.get(event.aspect)[event.stage];
      if (!stage) return;
      if (event.status === "started") {
        if (stage.status === "idle") stage.status = "running";
        return;
      }
      stage.parts ??= new Map();
      if (event.candidates) stage.parts.set(event.part, event.candidates);
      stage.status = stage.parts.size >= event.parts || !event.candidates ? "completed" : "running";
      stage.text = event.text ?? "";
      stage.progress = event.progress ?? null;
      stage.isReplaced = event.replaced;
    },
    ranking(event) {
      this.rankingParts.set(event.part, event.candidates);
    },
    token(event) {
      this.tokens.set(event.id, event);
    },
    reply(event) {
      this.reply = event;
    },
    fault(event) {
      this.faults.set(event.id, event);
    },
    help(event) {
      this.help = event;
    },
    done(event) {
      this.status = event.status;
      this.error = event.error ?? null;
      this.pinned = event.pinned ?? null;
    },
  };

  get isRunning() {
    return this.status === "running";
  }

  /** Whether a step failed and something else took its place. */
  get isDegraded() {
    return this.faults.size > 0 || this.reply?.by === "stand_in";
  }

  /** The reply as far as it is known. */
  get text() {
    if (this.reply && !this.reply.shortened) return this.reply.text;
    const heard = [...this.tokens.values()];
    const attempt = Math.max(0, ...heard.map((token) => token.attempt));
    const text = heard
      .filter((t) => t.attempt === attempt)
      .map((t) => t.text)
      .join("");
    return text || this.reply?.text || this.stored || "";
  }

  /** All proposals, by id. */
  get proposals() {
    const found = new Map();
    for (const [aspect, stages] of this.agents) {
      for (const one of candidatesOf(stages.promoter)) found.set(one.id, { ...one, aspect });
    }
    return found;
  }

  /** The candidates, best first; before they are ranked, as they were proposed. */
  get ranking() {
    const proposals = this.proposals;
    const ranked = [...this.rankingParts.keys()].sort((a, b) => a - b);
    const listed = ranked.flatMap((part) => this.rankingParts.get(part));
    if (!listed.length) return [...proposals.values()];
    return listed.map((one) => ({ ...proposals.get(one.id), ...one }));
  }

  get isRanked() {
    return this.rankingParts.size > 0;
  }

  /** The topics that the generator was given. */
  get chosen() {
    return this.reply?.by === "guard" ? [] : this.ranking.filter((one) => one.chosen);
  }

  /** The progress of each aspect that was analysed, from 0 to 1. */
  get progress() {
    const known = [...this.agents].map(([aspect, s]) => [aspect, s.progression.progress]);
    return new Map(known.filter(([, progress]) => progress != null));
  }
}

/** The candidates of a promoter's stage. */
export const candidatesOf = (stage) =>
  [...(stage.parts ?? [])].sort(([a], [b]) => a - b).flatMap(([, part]) => part);
