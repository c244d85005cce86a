"""How good the maps of `gazegan explain` are: on masks, under removal, by randomised weights.

Of networks that look at the middle of the image alone, only its pixels are scored: the others,
whose attribution is 0 whatever was learnt, would make chance look bad and all maps alike.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gazegan.cli import gaze
from gazegan.cli.maps import Advance, Work, mapped

if TYPE_CHECKING:
    from torch import Tensor

    from gazegan.explain import Attribution, Removal
    from gazegan.nets.regressor import Regressor
    from gazegan.schema import EyeBatch

MEASURES = ("attribution", "gradient", "area")
_RANDOMISED = 32
"""Eyes, at most, that networks with randomised weights explain too."""
_EYE = ("sclera", "iris", "pupil", "caruncle", "glint")
_IRIS = ("iris", "pupil")


def results(
    work: Work, network: Regressor, found: dict[str, Attribution], advance: Advance
) -> dict[str, Any]:
    """Return every score; on masks those of the first method stand apart, as in older results."""
    import torch

    from gazegan import rng
    from gazegan.explain import strength

    first, regions = next(iter(found)), _regions(work.batch, network.config.view)
    plain = mapped(work, network, "gradient_x_input", lambda _: None)
    assert plain.gradient is not None
    alone = _seen(replace(plain, map=plain.gradient), network)
    scores = {}
    for name, attribution in found.items():
        weight = strength(attribution.map)
        scores[name] = {
            **_on_masks(_seen(attribution, network), regions),
            **_areas(_removed(work, network, weight)),
            "completeness": _completeness(work, network, name, attribution),
        }
        advance(len(work.batch))
        scores[name]["randomised"] = _randomised(work, network, name)
        advance(len(work.batch))
    shape, drawn = work.batch.image[:, 0].shape, rng.stream(work.seed, "explain", "order")
    order = torch.rand(shape, generator=drawn)
    chance = {**_chances(regions), **_areas(_removed(work, network, order))}
    shares = (scores[first]["shares"], _on_masks(alone, regions)["shares"], chance["shares"])
    return {**_apart(shares), "methods": scores, "chance": chance}


def _seen(attribution: Attribution, network: Regressor) -> Attribution:
    """Return the part of maps that the network looks at."""
    from gazegan.nets.layers import middle

    return replace(attribution, map=middle(attribution.map, network.config.view))


def _regions(batch: EyeBatch, view: float) -> dict[str, Tensor]:
    """Coverage `[B, h, w]` of every mask, of iris and pupil, and of the lids where known.

    Of the middle `view` of the images' sides.
    """
    from gazegan.explain import lid_band
    from gazegan.nets.layers import middle
    from gazegan.schema import MASKS

    if batch.masks is None:
        return {}
    by_name = dict(zip(MASKS, batch.masks.unbind(1), strict=True))
    by_name["iris_and_pupil"] = _sum_of(by_name, _IRIS)
    if batch.landmarks is not None:
        by_name["lids"] = lid_band(batch.landmarks, batch.size)
    return {name: middle(cover, view) for name, cover in by_name.items()}


def _sum_of(masks: dict[str, Tensor], names: tuple[str, ...]) -> Tensor:
    """Return the joint coverage of some masks."""
    import torch

    return torch.stack([masks[name] for name in names]).sum(0)


def _on_masks(attribution: Attribution, regions: dict[str, Tensor]) -> dict[str, Any]:
    """Return mean shares of attribution by region and how often the strongest pixel is there."""
    import torch

    from gazegan.explain import mask_shares, pointing_game

    if not regions:
        return {"shares": None, "pointing": None}
    shares = mask_shares(attribution, torch.stack(list(regions.values()), 1)).attribution
    aims = _aims(regions)
    hits = pointing_game(attribution, torch.stack(list(aims.values()), 1)).hit
    return {"shares": _means(regions, shares), "pointing": _means(aims, hits)}


def _aims(regions: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {"eye": _EYE, "iris_and_pupil": _IRIS, "pupil": _IRIS[1:]}
    return {name: _sum_of(regions, parts) for name, parts in names.items()}


def _means(names: dict[str, Tensor], values: Tensor) -> dict[str, float] | None:
    """Return the means over eyes of `[B, K]` by name; None where no eye has any attribution."""
    known = values[~values.isnan().any(1)]
    return dict(zip(names, known.mean(0).tolist(), strict=True)) if len(known) else None


def _chances(regions: dict[str, Tensor]) -> dict[str, Any]:
    """Return what attribution spread evenly, and a pixel chosen at random, would have."""
    if not regions:
        return {"shares": None, "pointing": None}
    area = {name: float(cover.double().mean()) for name, cover in regions.items()}
    aims = {name: float((cover >= 0.5).double().mean()) for name, cover in _aims(regions).items()}
    return {"shares": area, "pointing": aims}


def _apart(shares: tuple[dict[str, float] | None, ...]) -> dict[str, Any]:
    """Return shares of attribution, gradient alone and area, by mask and by joint region."""
    from gazegan.schema import MASKS

    joint = ("iris_and_pupil", "lids")
    if any(share is None for share in shares):
        return dict.fromkeys((*MEASURES, *joint))
    known = dict(zip(MEASURES, (share or {} for share in shares), strict=True))
    by_mask = {kind: {name: share[name] for name in MASKS} for kind, share in known.items()}
    by_joint = {
        name: {kind: share[name] for kind, share in known.items()}
        if name in known["area"]
        else None
        for name in joint
    }
    return {**by_mask, **by_joint}


def _removed(work: Work, network: Regressor, weight: Tensor) -> Removal:
    """Take pixels that are seen away and put them back in the order of `weight` `[N, H, W]`."""
    import torch

    from gazegan.explain import Removal, faded, removal
    from gazegan.nets.layers import middle

    order, view, parts = torch.full_like(weight, -torch.inf), network.config.view, []
    middle(order, view)[:] = middle(weight, view)
    for rows, chunk in work.chunks():
        fn, image, some = gaze.of_heads(network, chunk), chunk.image, order[rows].to(work.device)
        parts.append(removal(fn, image, faded(image), some, work.pick, period=work.period))
    deletion, insertion = (
        torch.cat([getattr(part, kind) for part in parts]).cpu()
        for kind in ("deletion", "insertion")
    )
    return Removal(parts[0].share, deletion, insertion)


def _areas(removed: Removal) -> dict[str, Any]:
    from gazegan.explain import area_under

    return {
        "deletion_deg": float(area_under(removed.deletion).mean()),
        "insertion_deg": float(area_under(removed.insertion).mean()),
        "curves": {
            "share": removed.share.tolist(),
            "deletion_deg": removed.deletion.mean(0).tolist(),
            "insertion_deg": removed.insertion.mean(0).tolist(),
        },
    }


def _completeness(
    work: Work, network: Regressor, method: str, attribution: Attribution
) -> dict[str, float] | None:
    """Return by how much maps miss the change that they should add up to, beside the change."""
    import torch

    from gazegan.explain import apart, completeness_gap, faded

    if method != "integrated_gradients":
        return None
    with torch.no_grad():
        parts = [
            work.pick(gaze.of_heads(network, chunk)(faded(chunk.image))).cpu()
            for _, chunk in work.chunks()
        ]
    start = torch.cat(parts)
    gap = completeness_gap(attribution, start, work.period).abs().mean()
    changed = apart(attribution.output, start, work.period).abs().mean()
    return {"gap_deg": float(gap), "change_deg": float(changed)}


def _randomised(work: Work, network: Regressor, method: str) -> list[dict[str, float | None]]:
    """Return how alike maps are to those of ever more randomised networks, of the first eyes."""
    from gazegan import rng
    from gazegan.explain import cascade, rank_correlation

    few = replace(work, batch=work.batch[:_RANDOMISED])
    own = _seen(mapped(few, network, method, lambda _: None), network)
    told: list[dict[str, float | None]] = []
    for share, other in cascade(network, rng.stream(work.seed, "explain", "randomised")):
        alike = rank_correlation(
            own.map, _seen(mapped(few, other, method, lambda _: None), network).map
        )
        known = alike[alike.isfinite()]
        told.append({"layers": share, "correlation": float(known.mean()) if len(known) else None})
    return told
