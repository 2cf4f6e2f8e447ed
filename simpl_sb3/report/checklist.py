"""Beside a film: the subtasks that were asked, each ticked off when it is rewarded."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from simpl_sb3.report.film import SIDE, font
from simpl_sb3.report.methods import BLUE, GREY, INK
from simpl_sb3.results.traces import Completions

__all__ = ["Checklist"]

GROUND, EARLY, LINE = "#FFFFFF", "#A6CEE3", "#BBBBBB"


class Checklist:
    """
    A panel with what was asked, what is done, and the time.

    :param done: of the filmed episode
    :param subtasks: names of all subtasks
    :param fps: env steps per second
    """

    width = 240

    def __init__(self, done: Completions, subtasks: Sequence[str], fps: float) -> None:
        self.done, self.subtasks, self.fps = done, subtasks, fps

    def draw(self, step: int) -> Image.Image:
        """The panel after an env step."""
        done, subtasks = self.done, self.subtasks
        panel = Image.new("RGB", (self.width, SIDE), GROUND)
        draw = ImageDraw.Draw(panel)
        left, y = 18, 22
        draw.text((left, y), "asked, in this order", fill=GREY, font=font(14))
        due = int(((done.rewarded > 0) & (done.rewarded <= step)).sum())
        for turn, subtask in enumerate(done.asked):
            y += 44
            rewarded = 0 < done.rewarded[turn] <= step
            early = not rewarded and 0 < done.completed[subtask] <= step
            _tick(draw, (left, y), bool(rewarded), bool(early))
            draw.text(
                (left + 34, y + 12),
                f"{turn + 1}  {subtasks[subtask]}",
                fill=INK if rewarded or turn == due else GREY,
                font=font(15, bold=turn == due),
                anchor="lm",
            )
            if early:
                draw.text((left + 54, y + 29), "before its turn", fill=GREY, font=font(11), anchor="lm")
        others = [k for k in done.order if k not in done.asked and done.completed[k] <= step]
        y += 62
        for k, text in enumerate(["also done:", *(f"   {subtasks[k]}" for k in others)] if others else []):
            draw.text((left, y + 20 * k), text, fill=GREY, font=font(13))
        draw.text((left, SIDE - 36), f"{step / self.fps:4.1f} s", fill=INK, font=font(18))
        return panel

    def stills(self, last: int) -> dict[int, str]:
        """
        :param last: the last env step
        :return: env step -> text: the start, each rewarded subtask, and the end where one was not
        """
        texts = {0: "start"}
        for turn, (subtask, step) in enumerate(zip(self.done.asked, self.done.rewarded.tolist(), strict=True), start=1):
            if step:
                before = f"{texts[step]}, " if step in texts else ""
                texts[step] = f"{before}{turn} {self.subtasks[subtask]}"
        if not self.done.rewarded.all():
            texts.setdefault(last, "end")
        return texts

    @property
    def summary(self) -> str:
        """What the episode achieved: "All 4 in order", "3 of 4 in order"."""
        n, asked = int((self.done.rewarded > 0).sum()), len(self.done.asked)
        return f"All {asked} in order" if n == asked else f"{n} of {asked} in order"


def _tick(draw: ImageDraw.ImageDraw, corner: tuple[int, int], rewarded: bool, early: bool) -> None:
    x, y = corner
    fill, line = (BLUE, BLUE) if rewarded else (EARLY if early else GROUND, LINE)
    draw.rounded_rectangle((x, y, x + 24, y + 24), 5, fill=fill, outline=line, width=2)
    if rewarded:
        draw.line([(x + 6, y + 12), (x + 11, y + 17), (x + 19, y + 7)], fill=GROUND, width=3, joint="curve")
