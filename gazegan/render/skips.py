"""Steps that count nothing where a mask is zero, and so can be skipped together."""

from collections import Counter

from gazegan.render.plan import Loop, Plan, inputs
from gazegan.render.steps import Program, Step

_WORTH = 16
"""Steps from which on it is worth asking whether they can be skipped."""
_FEW = 8
"""Steps that are taken earlier at most to ask that."""


Asked = dict[int, set[int]]
"""What must not be zero for steps to count, each of it enough."""


def asked(plan: Plan) -> dict[Loop, Asked]:
    """Return what is asked for the steps of each loop, and for the planes that it reads.

    A step counts only where all that read it do; a product counts nothing of one factor where the
    other is zero, and a choice nothing of what is not chosen.
    """
    by_loop, later = dict[Loop, Asked](), Asked()
    for loop in reversed(plan.order()):
        found = _asked_in(plan, loop, later)
        for place in plan.reads(loop):
            source = plan.source(place)
            wanted = found[place] if place == source else set[int]()
            later[source] = later[source] & wanted if source in later else wanted
        by_loop[loop] = found
    return by_loop


def _asked_in(plan: Plan, loop: Loop, later: Asked) -> Asked:
    steps, found = plan.program.steps, Asked()
    for store in plan.stores.get(loop, ()):
        found[store.place] = set()
    for place in reversed(plan.loops.get(loop, [])):
        step = steps[place]
        if plan.puts(place, loop):
            by_others = later.get(place, set())
            found[place] = found[place] & by_others if place in found else by_others
        wanted = found.setdefault(place, set())
        for k, a in enumerate(inputs(step)):
            # What is looked up, or has other sizes, counts elsewhere too.
            aside = (step.op == "gather" and k == 0) or steps[a].size != step.size
            more = set() if aside else wanted | _asked_by(plan.program, step, k)
            found[a] = found[a] & more if a in found else more
    return found


def guards(plan: Plan, loop: Loop, asked: Asked) -> dict[int, int]:
    """Which of what is `asked` for steps of a loop to count is looked at."""
    own = plan.loops.get(loop, [])
    inside = set(own)
    # Of other loops' planes only those are at hand that this one reads anyhow.
    known = inside | set(plan.reads(loop))
    count = Counter(mask for place in own for mask in asked[place] if mask in known)
    chosen = {}
    for place in own:
        masks = [mask for mask in asked[place] if count[mask] >= _WORTH]
        if masks:
            chosen[place] = max(masks, key=lambda mask: (count[mask], -mask))
    return chosen


def _asked_by(program: Program, step: Step, argument: int) -> set[int]:
    """What must not be zero for an argument of a step to count."""
    if step.op == "where" and argument == 1:
        return {step.args[0]}
    if step.op == "min" and _not_negative(program, step.args[argument]):
        return _vanishing(program, step.args[1 - argument])
    if step.op != "mul" or step.args[0] == step.args[1]:
        return set()
    return _vanishing(program, step.args[1 - argument])


def _vanishing(program: Program, place: int) -> set[int]:
    """A step, if it may vanish, and all factors with which it does."""
    if not _may_vanish(program, place):
        return set()
    step, found = program.steps[place], {place}
    for a in {"mul": step.args, "min": step.args[:1], "neg": step.args}.get(step.op, ()):
        found |= _vanishing(program, a)
    return found


def _not_negative(program: Program, place: int) -> bool:
    """Whether a step is cut off below zero."""
    step = program.steps[place]
    if step.op == "min":
        return all(_not_negative(program, a) for a in step.args)
    least = program.value(step.args[1] if step.op == "max" else place)
    return least is not None and least >= 0


def _may_vanish(program: Program, place: int) -> bool:
    """Whether a step is often zero: it is cut off there, or chosen, or a product of such."""
    step = program.steps[place]
    if step.size is None:
        return False
    if step.op == "mul":
        return any(_may_vanish(program, a) for a in step.args)
    if step.op in ("min", "neg"):
        return _may_vanish(program, step.args[0])
    ends = {"max": step.args[1:], "where": step.args[1:]}.get(step.op, ())
    return any(program.value(a) == 0 for a in ends)


def blocks(plan: Plan, loop: Loop, asked: Asked) -> list[tuple[int | None, list[int]]]:
    """Steps of a loop in an order to take them, those that are skipped together side by side."""
    own, guard = plan.loops.get(loop, []), guards(plan, loop, asked)
    inside, done = set(own), set[int]()
    found: list[tuple[int | None, list[int]]] = []

    def ready(place: int) -> bool:
        return all(a in done or a not in inside for a in inputs(plan.program.steps[place]))

    def before(place: int) -> list[int]:
        """What has to be taken before a step, and it, in order."""
        missing, left = set[int](), [place]
        while left:
            one = left.pop()
            if one in inside and one not in done and one not in missing:
                missing.add(one)
                left += inputs(plan.program.steps[one])
        return sorted(missing)

    for start, place in enumerate(own):
        if place in done:
            continue
        mask = guard.get(place)
        if mask is not None and (earlier := before(mask)):
            if len(earlier) > _FEW or place in earlier:
                mask = None
            else:
                found.append((None, earlier))
                done.update(earlier)
        if not found or found[-1][0] is not mask or mask is not None:
            found.append((mask, []))
        found[-1][1].append(place)
        done.add(place)
        if mask is None:
            continue
        for other in own[start:]:
            if other not in done and guard.get(other) == mask and ready(other):
                found[-1][1].append(other)
                done.add(other)
    return found
