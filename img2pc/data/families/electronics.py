"""Screens, computers, printers, speakers, radios, cameras and telephones."""

from __future__ import annotations

import numpy as np

from img2pc.data.families.maker import Maker
from img2pc.data.families.pieces import (
    circle_outline,
    copies_around,
    front_knob,
    front_panel,
    handle_section,
    tapered_block,
    torus,
)
from img2pc.data.solids import (
    bar,
    box,
    cylinder,
    lathe,
    prism,
    rounded_rectangle,
    smooth_path,
    superellipse,
    sweep,
)


def screen(m: Maker) -> None:
    """Flat and tube televisions and monitors."""
    width = m.between(1.2, 2.4)
    height, thick = width * m.between(0.5, 0.8), m.between(0.04, 0.14)
    stand = m.pick(("neck", "neck", "feet", "none", "easel"))
    level = {"neck": m.between(0.15, 0.6), "feet": 0.12, "none": 0.0, "easel": 0.3}[
        stand
    ] + height / 2
    frame = m.between(0.03, 0.1)
    m.add("body", box(width, height, thick, 0.02).moved(y=level))
    m.add(
        "screen",
        front_panel(width - 2 * frame, height - 2 * frame, 0.02, 0, level, thick / 2 + 0.008),
    )
    if m.chance(0.3):
        deep = m.between(0.15, 0.9)
        tube = tapered_block(
            (width * 0.95, height * 0.95), (width * 0.5, height * 0.6), deep, 0, 0.05
        )
        m.add("body", tube.rotated("x", -90).moved(0, level, -thick / 2 + 0.02))
    if stand == "neck":
        foot = m.between(0.25, 0.5) * width
        plate = prism(superellipse(foot, 0.6 * foot, m.between(0.3, 1)), 0.05)
        neck = smooth_path([(0, 0.02, 0), (0, level * 0.6, -0.08), (0, level, -thick * 0.5)], 8)
        m.add(
            "trim",
            plate.moved(y=0.025),
            sweep(neck, rounded_rectangle(m.between(0.1, 0.4), 0.08, 0.02)),
        )
    elif stand == "feet":
        leg = bar((width * 0.35, 0.15, 0), (width * 0.38, 0, 0.3), 0.025)
        m.pair("trim", leg, leg.scaled(z=-1))
    elif stand == "easel":
        m.pair("trim", bar((width * 0.3, level, 0), (width * 0.55, 0, 0.3), 0.04))
        m.add("trim", bar((0, level, -thick / 2), (0, 0, -0.6), 0.04))


def laptop(m: Maker) -> None:
    width, thick = m.between(1.2, 1.8), m.between(0.03, 0.08)
    depth, angle = width * m.between(0.6, 0.75), m.between(70, 140)
    m.add("body", box(width, thick, depth, thick * 0.3).moved(y=thick / 2))
    rows, columns = m.count(3, 5), m.count(6, 9)
    key = box(width * 0.85 / columns * 0.85, 0.02, depth * 0.5 / rows * 0.8)
    for i in range(rows):
        for j in range(columns):
            x, z = (
                (j - (columns - 1) / 2) * width * 0.85 / columns,
                (i - rows + 0.5) * depth * 0.5 / rows,
            )
            m.add("trim", key.moved(x, thick + 0.005, z + 0.06 * depth))
    m.add("panel", box(width * 0.3, 0.01, depth * 0.25).moved(0, thick, depth * 0.3))
    lid = box(width, depth, thick * 0.7, thick * 0.2).moved(y=depth / 2)
    glass = front_panel(width * 0.92, depth * 0.88, 0.015, 0, depth / 2, thick * 0.35 + 0.008)
    for slot, solid in (("body", lid), ("screen", glass)):
        m.add(slot, solid.rotated("x", 90 - angle).moved(0, thick * 0.7, -depth / 2))


def keyboard(m: Maker) -> None:
    """Keyboards, calculators, remote controls, phones and pianos."""
    width, depth, thick = m.between(0.4, 2.6), m.between(0.5, 0.9), m.between(0.06, 0.2)
    m.add("body", box(width, thick, depth, thick * m.between(0.1, 0.5)).moved(y=thick / 2))
    rows, columns = m.count(2, 5), max(3, min(int(width * m.between(4, 7)), 16))
    low, high = -0.42, m.between(-0.1, 0.42)
    tall = m.between(0.03, 0.12)
    for i in range(rows):
        size = (width * 0.9 / columns * 0.85, tall, depth * (high - low) / rows * 0.8)
        z = -depth * (low + (i + 0.5) * (high - low) / rows)
        space = m.count(1, columns - 2) if i == 0 and columns > 5 else -1
        for j in range(columns):
            x = (j - (columns - 1) / 2) * width * 0.9 / columns
            wide = 1.9 if j == space else 1.0
            m.add("key", box(size[0] * wide, size[1], size[2]).moved(x, thick + tall * 0.3, z))
    if high < 0.2:
        m.add("screen", box(width * 0.8, 0.03, depth * 0.25).moved(0, thick, -depth * 0.32))
    if m.chance(0.3):
        m.turn("x", m.between(5, 90))


def printer(m: Maker) -> None:
    width, height, depth = m.between(1.0, 1.6), m.between(0.4, 1.1), m.between(0.8, 1.2)
    m.add(
        "body",
        tapered_block(
            (width, depth),
            (width * m.between(0.85, 1), depth * m.between(0.75, 1)),
            height,
            0,
            0.08,
            m.between(0, 0.2),
        ),
    )
    m.add("panel", box(width * 0.7, height * 0.2, 0.1).moved(0, height * 0.3, depth / 2 - 0.03))
    tray = box(width * 0.6, 0.03, depth * m.between(0.3, 0.6))
    m.add("trim", tray.rotated("x", m.between(-5, 15)).moved(0, height * 0.24, depth * 0.6))
    if m.chance(0.7):
        paper = box(width * 0.55, m.between(0.4, 0.8), 0.03)
        m.add("card", paper.rotated("x", -m.between(10, 35)).moved(0, height + 0.1, -depth * 0.32))
    m.add(
        "screen",
        box(width * 0.25, 0.05, 0.2).rotated("x", 20).moved(width * 0.3, height, depth * 0.25),
    )


def speaker(m: Maker) -> None:
    width, height, depth = m.between(0.4, 1.0), m.between(0.5, 2.0), m.between(0.4, 0.9)
    if m.chance(0.25):
        m.add(
            "body",
            cylinder(width / 2, height).moved(y=height / 2),
            torus(width / 2, 0.03).moved(y=height),
        )
        m.add("trim", torus(width / 2, 0.02).moved(y=0.1))
        return
    taper = m.between(0.75, 1)
    m.add(
        "body",
        tapered_block(
            (width, depth),
            (width * taper, depth * taper),
            height,
            depth * (1 - taper) / 2,
            m.between(0, 0.15),
        ),
    )
    level = height
    while level > 0.2 * height:
        radius = min(m.between(0.15, 0.45) * width, level * 0.4)
        level -= radius * 1.15
        z = depth / 2
        cone = lathe(
            [
                (radius, 0),
                (radius, 0.04),
                (radius * 0.85, 0.05),
                (radius * 0.3, -0.02),
                (radius * 0.25, 0.03),
                (0, 0.05),
            ],
            20,
        )
        m.add("trim", cone.rotated("x", 90).moved(0, level, z))
        level -= radius * 1.15
    if m.chance(0.3):
        m.pair(
            "trim",
            bar((width * 0.3, 0.05, 0), (width * 0.5, -0.4, 0.2), 0.03),
            bar((width * 0.3, 0.05, 0), (width * 0.5, -0.4, -0.2), 0.03),
        )


def radio(m: Maker) -> None:
    width, height, depth = m.between(0.9, 2.0), m.between(0.5, 0.9), m.between(0.25, 0.6)
    m.add("body", box(width, height, depth, m.between(0.02, 0.2)).moved(y=height / 2))
    radius = height * m.between(0.2, 0.38)
    disc = cylinder(radius, 0.08).rotated("x", 90)
    if m.chance(0.5):
        m.pair("trim", disc.moved(width * 0.32, height * 0.45, depth / 2))
    else:
        m.add("trim", disc.moved(-width * 0.25, height * 0.45, depth / 2))
    m.add(
        "screen",
        front_panel(width * 0.3, height * 0.2, 0.06, width * 0.1, height * 0.78, depth / 2 + 0.03),
    )
    for i in range(m.count(1, 4)):
        m.add("panel", front_knob(0.05, 0.1, width * (0.1 * i), height * 0.3, depth / 2))
    if m.chance(0.7):
        tip = (m.between(-0.5, 0.5), height + m.between(0.4, 1.0), -depth * 0.4)
        m.add("trim", bar((width * 0.4, height * 0.9, -depth * 0.4), tip, 0.018))
    if m.chance(0.6):
        rise = height + m.between(0.1, 0.35)
        grip = [
            (-width * 0.42, height * 0.8, 0),
            (-width * 0.4, rise, 0),
            (width * 0.4, rise, 0),
            (width * 0.42, height * 0.8, 0),
        ]
        m.add("trim", sweep(smooth_path(grip, 16), handle_section(m, 0.03)))


def camera(m: Maker) -> None:
    width, height, depth = m.between(0.9, 1.4), m.between(0.6, 0.9), m.between(0.3, 0.55)
    m.add("body", box(width, height, depth, m.between(0.03, 0.12)).moved(y=height / 2))
    radius, long = height * m.between(0.25, 0.48), m.between(0.1, 1.0)
    barrel = [(radius, 0), (radius, long * 0.4), (radius * m.between(0.8, 1.1), long * 0.45)]
    barrel += [
        (radius * m.between(0.8, 1.15), long),
        (radius * 0.75, long),
        (radius * 0.65, long * 0.8),
        (0, long * 0.85),
    ]
    m.add(
        "panel",
        lathe(barrel, 22)
        .rotated("x", 90)
        .moved(width * m.between(-0.1, 0.15), height * 0.48, depth / 2 - 0.02),
    )
    if m.chance(0.6):
        hump = tapered_block((width * 0.3, depth * 0.8), (width * 0.22, depth * 0.5), 0.22, 0, 0.03)
        m.add("body", hump.moved(0, height - 0.01, 0))
    m.add(
        "trim",
        cylinder(0.08, 0.1, sections=14).moved(width * 0.36, height + 0.02),
        cylinder(0.05, 0.12, sections=12).moved(-width * 0.36, height + 0.02),
    )
    if m.chance(0.5):
        m.add(
            "case",
            box(width * 0.18, height * 0.9, depth * 0.5, 0.06).moved(
                -width * 0.42, height * 0.48, depth * 0.4
            ),
        )
    if m.chance(0.25):
        leg = bar((0, 0.05, 0), (m.between(0.4, 0.8), -m.between(0.8, 1.8), 0), 0.04)
        m.add("trim", *copies_around(leg, 3, 30))


def telephone(m: Maker) -> None:
    """Telephones with a handset, and upright phones."""
    width, depth, height = m.between(0.8, 1.2), m.between(0.7, 1.1), m.between(0.25, 0.6)
    top = m.between(0.3, 0.9)
    upper = (width * m.between(0.6, 0.95), depth * top)
    m.add("body", tapered_block((width, depth), upper, height, -depth * 0.1, 0.06, 0.1))
    slant = 0.5 * (1 - top) + 0.1  # how far the front lies back, of the depth, at full height
    span, lift = width * m.between(0.9, 1.1), height + 0.1
    arch = [
        (-span / 2, lift - 0.05, 0),
        (-span * 0.3, lift + 0.1, 0),
        (span * 0.3, lift + 0.1, 0),
        (span / 2, lift - 0.05, 0),
    ]
    handset = [sweep(smooth_path(arch, 14), 0.08)]
    for side in (-1, 1):
        handset.append(cylinder(0.2, 0.18, 0.13, 16).moved(side * span * 0.46, lift - 0.06))
    m.add("trim", *(solid.moved(z=-depth * 0.2) for solid in handset))
    tilt = float(np.degrees(np.arctan2(height, slant * depth)))  # of what lies on the front
    dial = cylinder(width * 0.26, 0.08).rotated("x", tilt)
    dial = dial.moved(0, height * 0.6, depth * (0.5 - 0.6 * slant))
    if m.chance(0.5):
        m.add("panel", dial)
    else:
        key = box(0.1, 0.06, 0.13 * min(height, 0.5)).rotated("x", tilt)
        for i in range(3):
            for share in (0.8, 0.62, 0.44, 0.26):
                z = depth * (0.5 - share * slant)
                m.add("panel", key.moved((i - 1) * 0.16, height * share, z))
    cord = smooth_path(
        [
            (-width * 0.45, 0.05, 0),
            (-width * 0.8, 0.04, 0.3),
            (-width * 0.7, 0.05, -0.3),
            (-span * 0.46, lift - 0.1, -depth * 0.2),
        ],
        24,
    )
    m.add("trim", sweep(cord, circle_outline(0.025, 6)))
