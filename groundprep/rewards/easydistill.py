"""EasyDistill's six rewards for single-box and multi-box answers. Nothing is evaluated: what only `eval` could tell is None.

Quirks kept: the multi-box kernels count class 0 alone, while a malformed box of any class that both sides have makes the whole
0; keys that are strings (real JSON) earn 0; a list instead of a dict ends the trainer; a true box without area can never be
matched; the plane kernel exceeds 1 for boxes of less than a pixel; the single-box format allows no space around the bracket
while the kernels find a box anywhere. Only the text after the last `assistant` line break counts.
Source: modelscope/easydistill @acbe49b easydistill/mmkd/mmkd_rl_grounding.py (specs/vlmr1_easydistill.md §3.5).
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Callable
from typing import Any

import msgspec

from groundprep.rewards.base import NEEDS_EVAL, ORIGINAL_ERRORS, Score, raises
from groundprep.rewards.matching import assign

ALPHA = 0.5
"""Standard deviation of a kernel as a share of the box's side. Source: g_point_reward, g_plane_reward."""

EPSILON = 1e-8
"""Added to the mean covariance and under the root. Source: g_plane_reward."""

MIN_IOU = 0.5
"""A matched pair below this does not count. Source: match_boxes."""

LABELS = (0, 1, 2, 3)
"""Source: multi_box_format_reward."""

Kernel = Callable[[Any, Any], float]

_TURN = "assistant\n"
_NUMBER = r"-?+(?:\d++(?:\.\d++)?+|\.\d++)\s*+"
_BOX = re.compile(rf"\[(\s*+{_NUMBER}),\s*+({_NUMBER}),\s*+({_NUMBER}),\s*+({_NUMBER})\]")
_BOX_ONLY = re.compile(r"\[\s*+\d++\s*+,\s*+\d++\s*+,\s*+\d++\s*+,\s*+\d++\s*+\]")
_CAUGHT = (SyntaxError, NameError, KeyError, IndexError, TypeError, ValueError)
"""What the multi-box rewards turn into 0; anything else ends the trainer."""


def format_score(completion: str, ground_truth: Any) -> Score:
    """Return `score`: 1 if the text is one box of unsigned integers and nothing else, else 0."""
    del ground_truth
    return Score({"score": float(_BOX_ONLY.fullmatch(_last_turn(completion)) is not None)})


def gaussian_point_score(completion: str, ground_truth: Any) -> Score:
    """Return `score` in [0, 1]: how near the first box's centre is, in sides of the true box."""
    return _single_score(completion, ground_truth, gaussian_point)


def gaussian_plane_score(completion: str, ground_truth: Any) -> Score:
    """Return `score` in [0, inf], 1 for equal boxes of some pixels: the overlap of two Gaussians; may be nan."""
    return _single_score(completion, ground_truth, gaussian_plane)


def multi_box_format_score(completion: str, ground_truth: Any) -> Score:
    """Return `score`: 1 if items 0 to 3 are lists, else 0; None for what only `eval` could tell."""
    del ground_truth
    text = _last_turn(completion).strip()
    try:
        value = _plain_literal(text)
        if value is None:
            value = _literal_or_code(text)
    except MemoryError as error:  # the parser's own limit, the same for eval
        return Score({"score": None}, raises(error))
    except _NeedsEvalError:
        return Score({"score": None}, NEEDS_EVAL)
    except _CAUGHT:
        return Score({"score": 0.0})
    try:
        return Score({"score": float(all(isinstance(value[label], list) for label in LABELS))})
    except _CAUGHT:
        return Score({"score": 0.0})


def multi_gaussian_point_score(completion: str, ground_truth: Any) -> Score:
    """Return `score` in [0, 1]: twice the point kernels of matched class-0 boxes over the number of boxes."""
    return _multi_score(completion, ground_truth, gaussian_point)


def multi_gaussian_plane_score(completion: str, ground_truth: Any) -> Score:
    """Return `score` in [0, 1] but for boxes of less than a pixel: the same with plane kernels."""
    return _multi_score(completion, ground_truth, gaussian_plane)


def gaussian_point(predicted: Any, target: Any) -> float:
    """Return the point kernel, 3 decimals; the predicted box's size does not matter. Raises what arithmetic raises."""
    px1, py1, px2, py2 = predicted
    tx1, ty1, tx2, ty2 = target
    dx = (px1 + px2) / 2 - (tx1 + tx2) / 2
    dy = (py1 + py2) / 2 - (ty1 + ty2) / 2
    sigma_x, sigma_y = ALPHA * (tx2 - tx1), ALPHA * (ty2 - ty1)
    return float(round(math.exp(-0.5 * (dx**2 / sigma_x**2 + dy**2 / sigma_y**2)), 3))


def gaussian_plane(predicted: Any, target: Any) -> float:
    """Return exp(-Bhattacharyya distance) of the two boxes' Gaussians, 3 decimals. Raises what arithmetic raises."""
    px1, py1, px2, py2 = predicted
    tx1, ty1, tx2, ty2 = target
    dx = (px1 + px2) / 2 - (tx1 + tx2) / 2
    dy = (py1 + py2) / 2 - (ty1 + ty2) / 2
    p_xx, p_yy = ((px2 - px1) * ALPHA) ** 2, ((py2 - py1) * ALPHA) ** 2
    t_xx, t_yy = ((tx2 - tx1) * ALPHA) ** 2, ((ty2 - ty1) * ALPHA) ** 2
    xx, yy = (p_xx + t_xx) / 2, (p_yy + t_yy) / 2
    # The products with 0.0 are those of the matrix: they carry an infinite distance over to nan.
    along_x, along_y = dx / (xx + EPSILON) + 0.0 * dy, 0.0 * dx + dy / (yy + EPSILON)
    distance = (dx * along_x + dy * along_y) / 8
    ratio = _determinant(xx, yy) / math.sqrt(_determinant(p_xx, p_yy) * _determinant(t_xx, t_yy) + EPSILON)
    distance += 0.5 * math.log(ratio) if ratio else -math.inf
    return _rounded_as_array(_exp(-distance))


def _determinant(xx: float, yy: float) -> float:
    """Return the determinant of diag(xx, yy) as NumPy computes it: by logarithms."""
    return _exp(math.log(xx) + math.log(yy)) if xx and yy else xx * yy


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _rounded_as_array(x: float) -> float:
    """Return x to 3 decimals as NumPy rounds: scaled first, so that 0.0005 becomes 0.0 (Python's own gives 0.001)."""
    scaled = x * 1000
    return round(scaled) / 1000 if math.isfinite(scaled) else scaled


def _last_turn(completion: str) -> str:
    return completion.rsplit(_TURN, 1)[-1]


def _single_score(completion: str, solution: Any, kernel: Kernel) -> Score:
    match = _BOX.search(_last_turn(completion))
    if match is None:
        return Score({"score": 0.0})
    try:
        predicted = [float(number) for number in match.groups()]
        return Score({"score": kernel(predicted, [float(number) for number in solution])})
    except ORIGINAL_ERRORS:  # caught by the original
        return Score({"score": 0.0})


def _multi_score(completion: str, solution: Any, kernel: Kernel) -> Score:
    """Score class 0; every class that both sides have is matched, because a malformed box in any of them counts."""
    try:
        text = _last_turn(completion).strip()
        response = _plain_literal(text)
        if response is None:
            response = _literal(text)
        truth = {int(key): value for key, value in solution.items()}
        pairs = _matches(response, truth)
        total = 0.0
        for row, column in pairs[0]:
            total += kernel(response[0][row], truth[0][column])
        count = len(truth[0]) + len(response[0])
        return Score({"score": total * 2 / count if count else 1.0})
    except _CAUGHT:
        return Score({"score": 0.0})
    except ORIGINAL_ERRORS as error:
        return Score({"score": None}, raises(error))


def _matches(response: Any, truth: dict[int, Any]) -> dict[Any, list[tuple[int, int]]]:
    pairs: dict[Any, list[tuple[int, int]]] = {}
    for label in set(list(response.keys()) + list(truth.keys())):
        predicted, targets = response.get(label, []), truth.get(label, [])
        if 0 in (len(predicted), len(targets)):  # both are asked: a class that is None or a number raises
            pairs[label] = []
            continue
        cost_NM = [[float(1 - _iou(box, target)) for target in targets] for box in predicted]
        pairs[label] = [(n, m) for n, m in assign(cost_NM) if 1 - cost_NM[n][m] >= MIN_IOU]
    return pairs


def _iou(box: Any, target: Any) -> float:
    ax1, ay1, ax2, ay2 = box
    bx1, by1, bx2, by2 = target
    x1, y1, x2, y2 = max(ax1, bx1), max(ay1, by1), min(ax2, bx2), min(ay2, by2)
    if x1 >= x2 or y1 >= y2:
        return 0.0
    common = (x2 - x1) * (y2 - y1)
    union = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - common
    iou: float = common / union if union > 0 else 0
    return iou


class _NeedsEvalError(Exception):
    """The text is Python, but no literal."""


_PLAIN = re.compile(r"\{[0-9 \t\r\n,.\-\[\]{}:]*+")
_LONG = re.compile(r"[0-9]{16}")
_KEY = re.compile(r"(?<![0-9.\-])(0|[1-9][0-9]*+)[ \t\r\n]*+:")
_PLAIN_DECODER = msgspec.json.Decoder(dict[int, list[list[int | float]]])


def _plain_literal(text: str) -> dict[int, list[list[int | float]]] | None:
    """Return the value of the usual form, `{0: [[1, 2, 3, 4]], …}`, as Python's literal would give it; None for any other.

    It is read as JSON with quoted keys, which is ten times as fast; what JSON refuses is left to Python's parser.
    """
    if _PLAIN.fullmatch(text) is None or _LONG.search(text) is not None:
        return None
    try:
        return _PLAIN_DECODER.decode(_KEY.sub(r'"\1":', text))
    except msgspec.MsgspecError:
        return None


def _literal(text: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python remarks on doubtful escapes, which is no verdict
        return ast.literal_eval(text)


_LITERAL_NODES = (
    ast.Expression,
    ast.Constant,
    ast.Dict,
    ast.List,
    ast.Tuple,
    ast.Set,
    ast.UnaryOp,
    ast.BinOp,
    ast.operator,
    ast.unaryop,
    ast.expr_context,
)


def _literal_or_code(text: str) -> Any:
    """Return the literal's value; raises what `eval` would raise for certain, or _NeedsEvalError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text.lstrip(" \t"), mode="eval")
    except RecursionError as error:  # eval compiles without building this tree, and may go deeper
        raise _NeedsEvalError from error
    try:
        return ast.literal_eval(tree)
    except TypeError:  # an unhashable key, if nothing else of the text is code
        if all(isinstance(node, _LITERAL_NODES) for node in ast.walk(tree)):
            raise
        raise _NeedsEvalError from None
    except (ValueError, RecursionError) as error:
        raise _NeedsEvalError from error
