"""The tables of speed and of recovered eyes."""

import math
import statistics

from cells import Records, extent, joined, markdown, median, middle, of, unique

ERRORS = {
    "gaze_deg": "gaze, deg",
    "optical_deg": "optical axis, deg",
    "pupil_mm": "pupil's radius, mm",
    "lids_mm": "lids, mm",
}


def recovered(records: Records) -> str:
    """Return what was recovered beside the constant answer, as Markdown."""
    head = ["known", "eyes", *ERRORS.values(), "gaze: p95, deg", "below 1 deg", "CPU s an eye"]
    rows = []
    for name in unique(records, "row"):
        chosen = of(records, row=name)
        for prefix in ("", "constant_"):
            gaze = joined(chosen, f"{prefix}gaze_deg")
            below = sum(error < 1 for error in gaze) / len(gaze)
            cost = statistics.mean(r["cpu_s"] for r in chosen)
            rows.append(
                [
                    "constant" if prefix else name,
                    str(len(gaze)),
                    *(median(joined(chosen, prefix + key)) for key in ERRORS),
                    f"{sorted(gaze)[math.ceil(0.95 * len(gaze)) - 1]:.2f}",
                    f"{100 * below:.0f}%",
                    "" if prefix else f"{cost:.1f}",
                ]
            )
    ran = sorted({f"gazegan {r['gazegan']}, torch {r['torch']}, {r['device']}" for r in records})
    note = f"Medians, in brackets 95% of 2000 bootstraps; {'; '.join(ran)}, "
    return f"{markdown(head, rows)}\n\n{note}{records[0]['threads']} thread(s)."


BARS = {
    ("eager", "36x60 grey"): "500 images/s",
    ("compiled", ""): "6 times eager",
    ("Mitsuba llvm_ad_rgb", ""): "150 times as long",
    ("Blender Cycles", ""): "300 times as long",
}
"""By renderer, and by size where that counts."""


def _slower(fast: Records, slow: Records) -> Records:
    """How many times as long the slow one took, repeat by repeat, for those that both have."""
    speed = {r["repeat"]: r["value"] for r in fast}
    both = [r for r in slow if r["repeat"] in speed]
    return [{"value": speed[r["repeat"]] / r["value"]} for r in both]


def speeds(records: Records) -> str:
    """Return images a second of every renderer, and below them the other measures, as Markdown."""
    rows = []
    timed = of(records, kind="speed")
    for size in unique(timed, "size"):
        for recipe in unique(of(timed, size=size), "recipe"):
            here = of(timed, size=size, recipe=recipe)
            eager = middle(of(here, renderer="eager"))
            for name in unique(here, "renderer"):
                some = of(here, renderer=name)
                bar = BARS.get((name, size), BARS.get((name, ""), ""))
                ratio = f"{middle(some) / eager:.{2 if middle(some) < eager else 1}f}"
                longer = extent(_slower(of(here, renderer="compiled"), some))
                rows.append([size, recipe, name, extent(some), ratio, longer, bar])
    head = ["size", "recipe", "renderer", "images a second", "over eager"]
    head += ["time over that of compiled", "bar"]
    parts = [markdown(head, rows), markdown(["what", "measured"], _measures(records))]
    parts += _devices(of(records, kind="device"))
    one, repeats = timed[0], len(unique(timed, "repeat"))
    parts.append(
        f"Medians, in brackets smallest and largest of {repeats} repeats by turns; gazegan"
        f" {one['gazegan']}, torch {one['torch']}, {one['threads']} thread of {one['processor']}"
        f" ({one['vectors']})."
    )
    return "\n\n".join(parts)


def _devices(records: Records) -> list[str]:
    """Images a second of a GPU; empty where none was measured."""
    rows = []
    for size in unique(records, "size"):
        here = of(records, size=size)
        for name in unique(here, "renderer"):
            some = of(here, renderer=name)
            rows.append([some[0]["device"], size, name, extent(some), some[0].get("beside", "")])
    head = ["device", "size", "renderer", "images a second, or share", "while it also did"]
    return [markdown(head, rows)] if rows else []


def _measures(records: Records) -> list[list[str]]:
    rows = [
        [f"seconds of compiling, {r['size']}, {r['recipe']}", f"{r['value']:.0f}"]
        for r in of(records, kind="compile")
    ]
    kinds = {
        "gradient": "time of image and slopes over that of the image, eager",
        "processes": "images a second of two processes over those of one, eager",
        "processes, compiled": "images a second of two processes over those of one, compiled",
        "store": "share of writing in the time of a store, eager",
    }
    for kind, what in kinds.items():
        rows.append([f"{what}, 36x60", extent(of(records, kind=kind), 2)])
    rows += [
        [f"peak memory, MB, of writing a store of {r['count']} images, 36x60", f"{r['value']:.0f}"]
        for r in of(records, kind="memory")
    ]
    for r in of(records, kind="floor"):
        told = f"{r['kilobytes_a_pixel']:.1f} kB a pixel, {r['gigabytes_a_second']:.0f} GB/s copied"
        what = f"floor of memory traffic over time, eager, {r['size']}"
        rows.append([what, f"{r['value']:.2f} ({told})"])
    for r in of(records, kind="alias"):
        blur = "with the camera's blur" if r["blur"] else "without blur"
        what = f"PSNR, dB, against 8x8 samples of light a pixel, {r['recipe']}, {r['size']}, {blur}"
        rows.append([what, f"{r['value']:.1f}"])
    return rows
