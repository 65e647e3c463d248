"""The passive node: the passive candidates under its name, and a prepared answer where one fits."""

from __future__ import annotations

from langchain_core.messages import HumanMessage

from langgraph_cooper.nodes.offline.passive import passive_candidates
from langgraph_cooper.nodes.passive import passive_node
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.prompts import Answer, TaskSpec, load_task
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel
from tests.support.talk import user

ESC = load_task("esc")
JOKE = Answer(topic="Tell a joke.", strategy="Others", heard=("Tell me a joke.",), say=("Ha!",))
TASK = ESC.model_copy(update={"answers": (JOKE,)})
ASKED = {"messages": [HumanMessage("Tell me a joke.")]}


def resources(task: TaskSpec, model: ScriptedModel | None = None) -> Resources:
    return Resources(task, model, None, FakeRanker)


async def test_the_node_writes_under_its_name() -> None:
    node, state = passive_node(resources(ESC)), {"messages": [HumanMessage("Hello")]}
    update = node.invoke(state)
    assert update == {"passive": passive_candidates(ESC, [user("Hello")])}
    assert await node.ainvoke(state) == update


def test_an_answer_of_no_aspect_comes_first_and_is_due() -> None:
    first, *rest = passive_node(resources(TASK)).invoke(ASKED)["passive"]
    assert (first["topic"], first["due"]) == ("Tell a joke.", True)
    assert rest == passive_candidates(TASK, [user("Tell me a joke.")])


def test_another_language_is_told_so_before_all_else() -> None:
    said = {"messages": [HumanMessage("Cuéntame un chiste, por favor, estoy muy triste hoy.")]}
    (told,) = passive_node(resources(TASK)).invoke(said)["passive"]
    assert "English" in told["topic"]
    assert told["due"]
    assert resources(TASK).answers.find([user("Cuéntame un chiste, por favor.")]) is None
    model = passive_node(resources(TASK, ScriptedModel())).invoke(said)["passive"]
    assert told not in model  # a language model may understand it


def test_a_language_model_needs_no_prepared_answers() -> None:
    update = passive_node(resources(TASK, ScriptedModel())).invoke(ASKED)
    assert "Tell a joke." not in [candidate["topic"] for candidate in update["passive"]]
