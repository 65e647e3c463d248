"""The promoter node of a specialised agent (paper, "Local Analysis")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig

from langgraph_cooper.nodes.backend import PromoterInput
from langgraph_cooper.nodes.candidates import bank_candidates, bounded
from langgraph_cooper.nodes.context import current_context
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.language.history import utterances
from langgraph_cooper.nodes.node import Call, Node, Update, calling_node
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.state import AspectReport, Candidate, Fault
from langgraph_cooper.prompts import AspectSpec

UNREACHABLE = ("connection", "timeout", "budget", "configuration")
"""Kinds of tracker faults after which the promoter does not ask the same model."""


def promoter_node(aspect: AspectSpec, resources: Resources) -> Node:
    """Build the node that proposes m topic candidates C_i1 ... C_im for the aspect.

    After a fault the candidates are the bank's or, if the task has no bank, those of the last turn.
    """

    def given(state: Mapping[str, Any]) -> PromoterInput:
        return PromoterInput(
            aspect=aspect,
            history=utterances(state.get("messages", [])),
            state=state[aspect.name]["state"],
            m=current_context().m or resources.task.m,
        )

    def prepare(state: Mapping[str, Any]) -> Call:
        for fault in state[aspect.name].get("faults", []):
            if fault["kind"] in UNREACHABLE:
                raise ModelError(fault["message"], fault["kind"])
        return resources.backend(current_context()).promoter, given(state)

    def finish(state: Mapping[str, Any], candidates: list[Candidate]) -> Update:
        return {aspect.name: AspectReport(candidates=bounded(candidates))}

    def on_fault(state: Mapping[str, Any], fault: Fault, config: RunnableConfig) -> Update:
        report: AspectReport = state[aspect.name]
        found = bank_candidates(resources, given(state), config) or report.get("candidates", [])
        faults = [*report.get("faults", []), fault]
        return {aspect.name: AspectReport(candidates=found, faults=faults)}

    return calling_node("promoter", prepare, finish, on_fault)
