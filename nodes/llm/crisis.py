"""A chat model as the guard's second reader."""

from __future__ import annotations

import re
from typing import cast, get_args

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable

from langgraph_cooper.nodes.crisis.course import TIERS, Finding, Tier, ToRead
from langgraph_cooper.nodes.language.thoughts import strip_thoughts
from langgraph_cooper.nodes.llm.call import Question, UnreadableError, ask, prompt_limit
from langgraph_cooper.nodes.llm.material import delimited, prompt_line, tokens_of
from langgraph_cooper.nodes.llm.watch import QUIET
from langgraph_cooper.prompts import CrisisKind, TaskSpec, fill
from langgraph_cooper.prompts.task import shared_prompt

ANSWER_TOKENS = 16
SHOWN = 500  # characters of each message before the one that is read
KINDS: tuple[CrisisKind, ...] = get_args(CrisisKind)
_TIER = re.compile(rf"\b({'|'.join(TIERS)})\b", re.IGNORECASE)
_KIND = re.compile(
    rf"\b({'|'.join(kind.replace('_', '[_ -]?') for kind in KINDS)})\b", re.IGNORECASE
)


def llm_crisis_reader(task: TaskSpec, model: BaseChatModel) -> Runnable[ToRead, Finding]:
    """Build the Runnable that asks a model what one message shows, after those before it.

    Of these the oldest are left out where the prompt would grow too long. Its findings are never
    faint. One without a kind leaves the kind to the classifier.
    """
    values = {
        "title": task.title,
        "user_role": task.user_role,
        "system_role": task.system_role,
    }
    system = SystemMessage(fill(shared_prompt("crisis"), values))

    def prompt(given: ToRead) -> list[BaseMessage]:
        before = [f"- {prompt_line(text, SHOWN)}" for text in given.before]
        last = delimited("message", prompt_line(given.text))
        while before:
            said = delimited("before", "\n".join(before))
            messages: list[BaseMessage] = [system, HumanMessage(f"{said}\n{last}")]
            if tokens_of(messages) <= prompt_limit(model):
                return messages
            del before[0]
        return [system, HumanMessage(last)]

    def read(_: ToRead, answer: AIMessage) -> Finding:
        return read_finding(answer.text)

    quiet = model.with_config(QUIET)
    names = task.aspect_names
    return ask(Question("guard", names, quiet, model, prompt, read, None, lambda _: ANSWER_TOKENS))


def read_finding(text: str) -> Finding:
    """Read an answer: the one tier that it names, and the first kind after that.

    Raises:
        UnreadableError: It names no tier, or several: what is weighed aloud decides nothing.
    """
    text = strip_thoughts(text)
    named = list(_TIER.finditer(text))
    if len({tier[1].lower() for tier in named}) != 1:
        raise UnreadableError('Answer with one of "none", "concern" and "certain", and the kind.')
    tier = cast(Tier, named[0][1].lower())
    if tier == "none":
        return Finding()
    kind = _KIND.search(text, named[0].end())
    spelt = re.sub("[ -]", "_", kind[1].lower()) if kind else None
    known = next((each for each in KINDS if spelt in (each, each.replace("_", ""))), None)
    return Finding(tier, known)
