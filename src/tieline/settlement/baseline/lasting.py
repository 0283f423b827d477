"""What of the event day lasts: how far it is from its picked days before the event, and how much of that stays.

    x = load in a window − its mean over the picked days          on every picked day, and on the event day
    y = load in a step of the event − its mean                    on every picked day
    b = (Σ x xᵀ + w diag Σ x² / n)⁻¹ (Σ x y + w diag Σ x² / n · share)     ridge regression towards the shares
    the event day's step is above its mean by b · x

An air conditioner that runs now, a car that charges: a mean of days knows of neither, and it is those that run that are
called. Then the mean is too low for just the homes that are called, whatever it is for all.
"""

import numpy as np

from tieline.settlement.baseline.adjusting import NOTES, TOUCHED, UNKNOWN, Adjustment
from tieline.settlement.baseline.frame import Floats, Frame, Mask
from tieline.settlement.baseline.rules import Lasting

LEAST = 1e-6
"""Of its mean square: a load that varies by less than a thousandth does not vary, and its days say nothing."""


def lasted(rule: Lasting, frame: Frame, days: list[int], taken: Mask) -> Adjustment:
    """What is added in each step of the event, for each meter from its own days; `taken` is [days, meters]."""
    touched = np.zeros(frame.meters, bool) if frame.touched is None else frame.touched
    past, today = _beside(rule, frame, days)
    usual = _mean(past, taken)
    apart = np.where(np.isnan(today) | touched, 0.0, today - usual)
    added = _within_seen(frame, days, taken, today, _followed(rule, frame, days, taken, past, apart))
    note = np.zeros(frame.meters, np.int8)
    for when, why in ((touched, TOUCHED), (np.isnan(today).all(axis=0), UNKNOWN)):
        note[when] = NOTES.index(why)
    return Adjustment(np.ones(frame.meters), added.mean(axis=0), note, added)


def _beside(rule: Lasting, frame: Frame, days: list[int]) -> tuple[Floats, Floats]:
    """The mean power in each window of the picked days [days, windows, meters] and of the event day [windows, meters],
    over those steps in which the event day is known; NaN for the event day where there are none."""
    spans = frame.within(rule.windows)
    past, today = np.empty((len(days), len(spans), frame.meters)), np.empty((len(spans), frame.meters))
    for i, span in enumerate(spans):
        length_s = frame.length_s[span].astype(float)
        known = ~np.isnan(frame.today_kw[span])
        whole = bool(known.all())
        seconds = np.einsum("s,sm->m", length_s, known)
        seconds = np.where(seconds > 0, seconds, np.nan)
        drawn = np.where(known, frame.today_kw[span], 0.0)
        today[i] = np.einsum("s,sm->m", length_s, drawn) / seconds
        for j, day in enumerate(days):
            sums = frame.energy_kws(day, span) if whole else np.einsum("s,sm->m", length_s, frame.kw[day, span] * known)
            past[j, i] = sums / seconds
    return past, today


def _mean(of_days: Floats, taken: Mask) -> Floats:
    """Over each meter's days; NaN without any."""
    count = taken.sum(axis=0)
    total: Floats = np.where(taken[:, None], of_days, 0.0).sum(axis=0)
    return total / np.where(count > 0, count, np.nan)


def _followed(rule: Lasting, frame: Frame, days: list[int], taken: Mask, past: Floats, apart: Floats) -> Floats:
    """What follows in each step of the event [steps, meters] from being so far apart before it [windows, meters]."""
    count = np.maximum(taken.sum(axis=0), 1)
    past = np.where(taken[:, None], np.nan_to_num(past), 0.0)
    x = np.where(taken[:, None], past - past.sum(axis=0) / count, 0.0)
    products = np.zeros((frame.event_steps, len(rule.windows), frame.meters))
    for i, day in enumerate(days):  # Σ x · y: the mean of y drops out, since the x sum to nothing
        for step, kw in enumerate(frame.kw[day, frame.during]):
            products[step] += x[i] * np.where(taken[i], kw, 0.0)
    squares = np.einsum("dim,djm->mij", x, x)
    variance = np.maximum(np.einsum("mii->im", squares), LEAST * (past**2).sum(axis=0)) / count
    prior = np.where(variance > 0, rule.weighs * variance, 1.0)
    normal = squares + np.einsum("im,ij->mij", prior, np.eye(len(rule.windows)))
    direction = np.linalg.solve(normal, np.nan_to_num(apart).T[..., None])[..., 0]
    added: Floats = np.einsum("mi,sim->sm", direction, products + prior * np.array(rule.shares)[:, None])
    return added


def _within_seen(frame: Frame, days: list[int], taken: Mask, today: Floats, added: Floats) -> Floats:
    """The same, so that no step is below what was drawn in any step of the picked days' events or in any window of the
    event day, nor above: what a few days seem to say of a load that none of them saw goes no further than this."""
    low, high = np.nanmin(today, axis=0, initial=np.inf), np.nanmax(today, axis=0, initial=-np.inf)
    usual = np.zeros_like(added)
    for day, of_it in zip(days, taken, strict=True):
        kw = frame.kw[day, frame.during]
        usual += np.where(of_it, kw, 0.0)
        low = np.where(of_it, np.fmin(low, kw.min(axis=0)), low)
        high = np.where(of_it, np.fmax(high, kw.max(axis=0)), high)
    usual /= np.maximum(taken.sum(axis=0), 1)
    return np.clip(usual + added, low, high) - usual
