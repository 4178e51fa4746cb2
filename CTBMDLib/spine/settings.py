"""Every number that the finder of the lumbar levels works with: its name, unit and source.

Three kinds of numbers are told apart in the docstrings:

- anatomy: what bodies, discs, ribs and canals measure in adults, with its source where it
  is a published one, else as textbooks have it;
- fitted: chosen on virtual volumes by a command that can be run again, which is named;
- own choice: set by hand while the finder was made; what they do together is shown by
  `python -m training.locator.check virtual`.

What the two networks see (positions, bands, dilations) is no setting but part of their
weights: it stands with them in `straightened`, `ribs` and `evidence`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

GRID_MM = 3.0
"""Spacing of the search grid, mm: discs are 6-14 mm thick, ribs 8-12 mm (anatomy). Boxes and
steps of `ColumnSettings` are counted in it."""


@dataclass(frozen=True)
class GridSettings:
    """The coarse copies of a CT, where the spine is looked for first, and noise.

    Attributes
    ----------
    max_hu : float
        HU to which values are cut before averaging, so that metal does not spread (own choice).
    cancel_every : int
        Blocks of slices between two looks at whether to go on.
    side_mm, front_mm, behind_mm : float
        Box around the middle of the body in which the spine of a person lies, even one that
        leans by 20 degrees over 400 mm (anatomy).
    body_hu : float
        HU above which a voxel belongs to the body: between lung and fat.
    back_percent : float
        Share of the body's voxels, in percent, that may lie behind what counts as its back.
    samples : int
        Voxels an axis from which the body's middle and the noise are measured: plenty for a median.
    soft_hu : tuple of float
        Range of soft tissue, fat left out, in which noise is measured.
    min_noise_pairs : int
        Neighbours in soft tissue below which no noise is measured.
    noise_factor : float
        Median of |difference| of two normal values over their SD: 0.6745 sqrt(2).
    noisy_hu, very_noisy_hu : float
        Noise at `GRID_MM` from which the coarse copy is smoothed, little and more (own choice).
    noisy_sigma_mm, very_noisy_sigma_mm : float
        By how much.
    """

    max_hu: float = 2000.0
    cancel_every: int = 16
    side_mm: float = 111.0
    front_mm: float = 60.0
    behind_mm: float = 15.0
    body_hu: float = -300.0
    back_percent: float = 1.0
    samples: int = 40
    soft_hu: tuple[float, float] = (-60.0, 140.0)
    min_noise_pairs: int = 500
    noise_factor: float = 0.954
    noisy_hu: float = 14.0
    very_noisy_hu: float = 28.0
    noisy_sigma_mm: float = 1.8
    very_noisy_sigma_mm: float = 2.7


@dataclass(frozen=True)
class BoneSettings:
    """How bone is told from soft tissue.

    Attributes
    ----------
    min_tissue_hu : float
        Soft tissue is taken for at least so dense.
    above_tissue_hu : float
        Bone begins so far above soft tissue: above muscle with contrast agent (own choice).
    rise_hu : float
        From no bone to all bone at gain 1, so that metal and cortical bone count no more than
        dense spongy bone (own choice).
    tissue_range_hu, tissue_bins, tissue_sigma_bins
        Histogram whose peak is soft tissue, and its smoothing.
    padding_bins : int
        Its first bins, left out: exactly 0 HU may be padding.
    tissue_samples : int
        Voxels an axis in the histogram: some hundred thousand are plenty.
    min_tissue_voxels : int
        Voxels below which `unknown_tissue_hu` is taken.
    unknown_tissue_hu : float
        Muscle without contrast agent (40 to 60 HU).
    tissue_limits_hu : tuple of float
        Muscle is within, whatever the peak says.
    """

    min_tissue_hu: float = 40.0
    above_tissue_hu: float = 32.0
    rise_hu: float = 180.0
    tissue_range_hu: tuple[float, float] = (0.0, 110.0)
    tissue_bins: int = 55
    tissue_sigma_bins: float = 3.0
    padding_bins: int = 2
    tissue_samples: int = 60
    min_tissue_voxels: int = 50
    unknown_tissue_hu: float = 50.0
    tissue_limits_hu: tuple[float, float] = (20.0, 90.0)


@dataclass(frozen=True)
class BoneKind:
    """One way to see bone in a CT while its column is looked for.

    Attributes
    ----------
    gain : float
        Steepness of the bone map.
    min_score : float
        What a plane must score; below it speaks against a spine.
    tissue_hu : float or None
        What soft tissue is taken for; as measured where None.
    filled : bool
        Whether the inside of hollow bodies is filled, see `column.fill_hollow`.
    filled_line : bool
        Whether it is, too, where the line is moved to the middle of the bodies.
    """

    gain: float
    min_score: float
    tissue_hu: float | None = None
    filled: bool = False
    filled_line: bool = False

    def level_hu(self, tissue_hu: float) -> float:
        """What soft tissue is taken for in a CT whose muscle has `tissue_hu`."""
        return tissue_hu if self.tissue_hu is None else self.tissue_hu


FIRM = BoneKind(1.0, 0.22)
"""Bone as it mostly is."""
FIRMER = BoneKind(1.8, 0.22)
"""Bone of low density."""
FAINT = BoneKind(4.0, 0.10, 40.0)
"""Bone that is hardly denser than muscle."""
DENSE = BoneKind(0.4, 0.22)
"""Bone so dense that canal and discs drown in its blur: a young person's at 80 kV, sclerosis."""
HOLLOW = replace(FIRMER, filled=True)
"""Walls around marrow that is darker than muscle."""
HOLLOW_FAINT = replace(FAINT, filled=True)
"""The same, where the walls are thin and faint."""
HOLLOW_LINE = replace(HOLLOW, filled_line=True)
"""Walls so bright, or a vessel so bright before them, that a body looks like the canal behind it."""
HOLLOW_FAINT_LINE = replace(HOLLOW_FAINT, filled_line=True)
"""The same, where the walls are thin and faint."""


@dataclass(frozen=True)
class ColumnSettings:
    """What a vertebral body looks like on the grid, and how a chain of bodies may run.

    Lengths without a unit are steps of the grid (3 mm). Sizes are anatomy (body 24 mm deep
    and 33 mm wide, canal 9 x 15 mm, arch 15 x 27 mm); weights and prices are own choice.

    Attributes
    ----------
    node_step : int
        Planes between two nodes of the trace (6 mm).
    slopes : tuple of float
        Forward lean of the bodies along which planes are averaged: none, and L5's.
    half_planes : int
        Planes up and down that are averaged (27 mm in all), so that discs and pedicles even out.
    body, canal, arch, beside, before : tuple of int
        Size of the boxes along A and R.
    canal_weight, arch_weight, max_arch, max_body : float
        Weight of the dark canal and of the bright arch; caps, so that a body weak in bone does
        not lose against an aorta full of contrast.
    side_steps, side_weight : int, float
        Bone so far to both sides counts against a body.
    front_steps, front_weight : int, float
        As does bone so far in front.
    canals : tuple of (int, int)
        Canal centre behind the body's centre along A and R: 21 to 30 mm.
    arch_behind_canal : int
        Arch's centre behind the canal's.
    hollow, hole : tuple of int
        Of a `filled` map, along A and R: walls no further apart close what is between them, and
        what is filled is larger than a hole, so larger than the canal (own choice).
    hollow_body, max_hollow : tuple of int, float
        `body` and `max_body` of a filled map: from wall to wall, as a smaller box could lie
        anywhere between them.
    turn : float
        How much further aside the arch lies than the canal where the vertebra is turned.
    bend_ahead_cost, bend_aside_cost : float
        Price of a step along A and R from node to node, times its square.
    max_bend_ahead, max_bend_aside : int
    avoid_mm : float
        Left out around earlier columns; an aorta lies as near to the spine as 26 mm.
    keep_mm : float
        A chain that is to keep to a column is at most so far from it (half a body).
    """

    node_step: int = 2
    slopes: tuple[float, float] = (0.0, 0.6)
    half_planes: int = 4
    body: tuple[int, int] = (8, 11)
    canal: tuple[int, int] = (3, 5)
    arch: tuple[int, int] = (5, 9)
    beside: tuple[int, int] = (9, 4)
    before: tuple[int, int] = (3, 9)
    canal_weight: float = 0.9
    arch_weight: float = 0.65
    max_arch: float = 0.5
    max_body: float = 0.4
    side_steps: int = 10
    side_weight: float = 0.3
    front_steps: int = 8
    front_weight: float = 0.15
    canals: tuple[tuple[int, int], ...] = tuple(
        (a, r) for a in (-7, -8, -9, -10) for r in (-2, 0, 2)
    )
    arch_behind_canal: int = 5
    hollow: tuple[int, int] = (9, 13)
    hole: tuple[int, int] = (5, 7)
    hollow_body: tuple[int, int] = (8, 15)
    max_hollow: float = 0.5
    turn: float = 1.5
    bend_ahead_cost: float = 0.012
    bend_aside_cost: float = 0.05
    max_bend_ahead: int = 2
    max_bend_aside: int = 1
    avoid_mm: float = 20.0
    keep_mm: float = 12.0


@dataclass(frozen=True)
class RefineSettings:
    """The second trace, in a box that is turned as the spine is (own choice throughout).

    Attributes
    ----------
    rounds : int
        Traces at most.
    settled : float
        Change of the basis (of unit vectors) below which it has settled.
    side_mm, front_mm, behind_mm, end_mm : float
        Room around the first trace: beside it, before it, behind it and past both ends.
    below_mm, further_behind_mm : float
        More room for the sacrum, which lies lower and further back.
    max_outside : float
        Share of a plane outside the CT from which it is left out.
    min_planes, min_nodes : int
        Less than this is no spine: the first trace stays.
    min_length_mm : float
        Length of the trace below which upright is taken for its direction.
    max_lean : float
        Forward lean that is left as it is, mm per mm: 15 degrees are lordosis (anatomy).
    max_tilt : float
        Sideways lean and rotation that are believed, mm per mm (27 degrees).
    """

    rounds: int = 2
    settled: float = 0.1
    side_mm: float = 40.0
    front_mm: float = 45.0
    behind_mm: float = 66.0
    end_mm: float = 45.0
    below_mm: float = 60.0
    further_behind_mm: float = 30.0
    max_outside: float = 0.7
    min_planes: int = 6
    min_nodes: int = 4
    min_length_mm: float = 20.0
    max_lean: float = 0.27
    max_tilt: float = 0.5


@dataclass(frozen=True)
class LineSettings:
    """The line through the bodies along which the spine is straightened.

    Attributes
    ----------
    node_mm : float
        Distance of the nodes where there is one only.
    line_sigma_mm, offset_sigmas : float
        Smoothing of the bodies' line, and how much more the way to the canal is smoothed.
    centre_sigma_mm, up_sigma_mm : float
        Smoothing of the line a millimetre and of its direction (own choice).
    below_mm, above_mm : float
        How far the line is carried on past both ends of the trace.
    sacral_bend_deg_mm : float
        Past the last body the sacrum bends backwards, 10 to 20 degrees a segment (anatomy).
    sacral_step_mm : float
        Length of the pieces it is carried on by.
    end_mm : float
        Length at either end that gives the end's direction.
    noisy_hu, very_noisy_hu : float
        Noise at 3 mm from which planes are smoothed, little and more (own choice).
    noisy_sigma, very_noisy_sigma : tuple of float
        By how many samples along, ahead and aside.
    """

    node_mm: float = 6.0
    line_sigma_mm: float = 10.0
    offset_sigmas: float = 3.0
    centre_sigma_mm: float = 6.0
    up_sigma_mm: float = 8.0
    below_mm: float = 70.0
    above_mm: float = 12.0
    sacral_bend_deg_mm: float = 0.35
    sacral_step_mm: float = 10.0
    end_mm: float = 24.0
    noisy_hu: float = 8.0
    very_noisy_hu: float = 20.0
    noisy_sigma: tuple[float, float, float] = (0.8, 0.5, 0.5)
    very_noisy_sigma: tuple[float, float, float] = (1.2, 0.8, 0.8)


@dataclass(frozen=True)
class RecentreSettings:
    """Moving the line to the middle of the bodies, found from their back wall.

    Attributes
    ----------
    plane_mm : int
        Distance of the planes that are looked at.
    middle_mm : float
        Half width of the strip in which the walls are looked for.
    wall_sigma_mm, side_sigma_mm, move_sigma_mm : float
        Smoothing along the spine of what is looked at, of the sides and of the move.
    beside_samples : int
        Samples (2.5 mm) in front of and behind a wall that are compared: 10 mm.
    behind_weight : float
        Weight of the dark canal against the bright body (own choice).
    wall_mm : tuple of float
        Where the back wall may lie, mm before the first line.
    no_wall : float
        Score of any place else.
    step_cost : float
        Price of a sample aside from one plane to the next.
    depth_mm : tuple of float
        Depth at which the front wall is looked for (anatomy).
    usual_depth_mm : tuple of float
        Limits of the depth that is believed for the whole spine.
    unknown_depth_mm : float
    back_mm : float
        Depth behind the wall that is weighed sideways: an aorta lies in front.
    min_bone : float
        Bone (sum over samples) below which a plane's side is not believed.
    max_aside_mm : float
    canal_behind_wall_mm : float
        Canal's centre behind the back wall (anatomy).
    hollow, hole : tuple of int
        Those of `ColumnSettings`, in samples of 2.5 mm along A and 3 mm along R.
    hollow_sigma_mm : float
        Smoothing along the spine before hollow bodies are filled: over discs, as averaged planes
        are for the trace.
    """

    plane_mm: int = 4
    middle_mm: float = 7.6
    wall_sigma_mm: float = 8.0
    side_sigma_mm: float = 6.0
    move_sigma_mm: float = 12.0
    beside_samples: int = 4
    behind_weight: float = 1.5
    wall_mm: tuple[float, float] = (-30.0, -4.0)
    no_wall: float = -5.0
    step_cost: float = 0.05
    depth_mm: tuple[float, float] = (22.0, 42.0)
    usual_depth_mm: tuple[float, float] = (28.0, 38.0)
    unknown_depth_mm: float = 30.0
    back_mm: float = 14.0
    min_bone: float = 0.5
    max_aside_mm: float = 10.0
    canal_behind_wall_mm: float = 8.0
    hollow: tuple[int, int] = (11, 13)
    hole: tuple[int, int] = (6, 7)
    hollow_sigma_mm: float = 10.0


@dataclass(frozen=True)
class ProfileSettings:
    """Where along the straightened spine bone is measured (anatomy), mm from its line.

    Attributes
    ----------
    core_ahead_mm, core_side_mm : float
        Half size of a body's core.
    min_core_seen : float
        Share of the core within the CT from which a plane counts as seen.
    body_ahead_mm, body_side_mm : float
        Half size of a body's outline.
    body_sigma_mm : float
        Smoothing of its bone along the spine.
    pedicle_ahead_mm : tuple of float
        Pedicles join the front of the canal's sides: range before the canal's centre.
    pedicle_side_mm : tuple of float
    ala_ahead_mm, ala_side_mm : tuple of float
        Beside the body, where only the sacrum has bone.
    min_ala_seen : float
        Share of that place within the CT.
    """

    core_ahead_mm: float = 10.1
    core_side_mm: float = 12.1
    min_core_seen: float = 0.95
    body_ahead_mm: float = 13.0
    body_side_mm: float = 18.1
    body_sigma_mm: float = 1.0
    pedicle_ahead_mm: tuple[float, float] = (-4.0, 8.0)
    pedicle_side_mm: tuple[float, float] = (8.9, 21.1)
    ala_ahead_mm: tuple[float, float] = (-12.6, 7.6)
    ala_side_mm: tuple[float, float] = (29.9, 45.1)
    min_ala_seen: float = 0.6


@dataclass(frozen=True)
class TiltSettings:
    """Tilt of the dark band between two bright endplates (own choice).

    Attributes
    ----------
    tilts : tuple of float
        Disc tilts in the sagittal plane that are tried, mm along the spine per mm forward.
    hu_range : tuple of float
        HU are cut to it.
    level_sigma_mm, spread_sigma_mm : float
        Smoothing of what is usual around a plane, and of its spread.
    min_spread_hu : float
    widths_mm : tuple of int
        Thickness of discs.
    tilt_cost : float
        Price of a tilt, times its size.
    """

    tilts: tuple[float, ...] = (-0.3, -0.15, 0.0, 0.15, 0.3)
    hu_range: tuple[float, float] = (-100.0, 450.0)
    level_sigma_mm: float = 14.0
    spread_sigma_mm: float = 25.0
    min_spread_hu: float = 8.0
    widths_mm: tuple[int, ...] = (5, 7, 10, 13)
    tilt_cost: float = 0.3


@dataclass(frozen=True)
class ChainSettings:
    """What discs and bodies earn in a chain, and what their heights cost (own choice).

    Attributes
    ----------
    min_height_mm, max_height_mm : int
        Disc-to-disc distances that are tried: T9 of a small person to L5 of a tall one (anatomy).
    log_odds : float
        What the network says is divided by so much,
    likeness : tuple of float
        and cut to this range.
    body_reach : int
        Planes within which a body's best likeness counts.
    disc_weight, body_weight : float
        Of both discs and of the body; what a vertebra earns is at most their sum, 1.9.
    usual_height_mm, height_spread_mm, height_cost : float
        Price of an unusual height: `height_cost` times the 4th power of its distance in spreads.
    margin : float
        Share of a vertebra at both ends that may lie outside the CT.
    min_seen : float
        Share of the rest that must be seen.
    growth_mm, growth_spread_mm, growth_cost, max_growth_cost : float
        A vertebra is higher by so much than the one above; price of another growth.
    """

    min_height_mm: int = 20
    max_height_mm: int = 52
    log_odds: float = 3.0
    likeness: tuple[float, float] = (-1.2, 1.0)
    body_reach: int = 5
    disc_weight: float = 0.5
    body_weight: float = 0.9
    usual_height_mm: float = 36.0
    height_spread_mm: float = 14.0
    height_cost: float = 0.15
    margin: float = 0.2
    min_seen: float = 0.97
    growth_mm: float = 1.0
    growth_spread_mm: float = 4.0
    growth_cost: float = 0.5
    max_growth_cost: float = 3.0


@dataclass(frozen=True)
class TraceSettings:
    """The tries to find a spine, and when one is believed.

    Attributes
    ----------
    min_ct_mm : float
        A CT that is narrower holds no vertebra with what tells it from others.
    every, min_nodes : int
        The first trace has a node every 12 mm (`every` times `ColumnSettings.node_step`); three
        of them are 36 mm of spine.
    tries : tuple of BoneKind
        Columns without a clear chain of discs (a hip, an arm, an aorta full of contrast) are
        left out of the next tries.
    narrow_tries : int
        So many tries look where a spine is expected, which is quick; then everywhere.
    again : tuple of BoneKind
        Where no try shows a lumbar spine, these look again with nothing left out: a column
        without a clear chain may have been the spine, seen badly.
    at_last : tuple of BoneKind
        These look where the former show nothing either.
    other_tissue_hu : float
        Where these show nothing either and the HU of muscle were measured as far from the usual
        ones as this, they look once more with the usual ones (own choice).
    unturned : BoneKind
        This one looks where none of the former shows anything, with no vertebra turned.
    clear_worth : float
        Worth of a lumbar chain of discs beyond which no other column is tried (own choice).
    same_tries : int
        So many ways of seeing bone that find the same clear chain, with discs as near as those
        of a chest, end the search: it is no lumbar spine seen badly (own choice).
    same_end_mm, same_distance_mm : float
        How far the last discs of such chains lie apart at most, and their median distances.
    long_mm, kept_mm, kept_below_mm : float
        A trace longer than a trunk is cut to so much above and below its last disc, and followed
        again.
    min_kept_nodes, min_lost_nodes, min_right_nodes : int
        Nodes below which a part of a trace is too short to go on with.
    lost_mm : float
        A trace without a disc so far below its last or above its first one may have left the
        spine.
    further_rounds, others : int, tuple of BoneKind
        So often at most a trace that left the spine below is followed anew, and how bone is
        told for that.
    min_disc_distance_mm : float
        Median distance of lumbar discs at least; those of the neck are 15 to 20 mm apart (anatomy).
    min_pedicle : float
        Bone where pedicles are, without which it is looked for an arch.
    min_arch, arch_score : float
        How unevenly bone lies behind the canal, and how plain discs are, of 1.9, that make a spine
        all the same (own choice: test phantoms reach 0.04 and hollow spines have 0.13 and more).
    arch_vertebrae, clear_arch : int, float
        A clear chain of so many vertebrae with so uneven an arch is a spine however plain its discs
        are: test phantoms have no arch whose bone stands out so much from what is beside it.
    arch_ahead_mm, arch_side_mm, arch_percent, min_arch_seen : float or tuple of float
        Where that is: before the canal's centre, to either side; between which percentiles of
        the places there; share of it that the CT must show.
    plain_score : float
        Discs as plain as this make a spine where the CT does not show what lies behind.
    pedicle_share : tuple of float
        Part of a vertebra, from above, at which its pedicles are (anatomy).
    min_end_score : float
        Score below which a vertebra at either end of the chain is not kept (own choice).
    added_height : tuple of float
        Heights of the vertebrae above within which the lower disc of an added one lies.
    added_score : float
        What it earns: its confidence is half that of the names.
    """

    min_ct_mm: float = 24.0
    every: int = 2
    min_nodes: int = 3
    tries: tuple[BoneKind, ...] = (FIRM, DENSE, FAINT, FIRMER, FIRM, FIRMER, FAINT)
    narrow_tries: int = 4
    again: tuple[BoneKind, ...] = (DENSE, FAINT, FIRMER, HOLLOW, HOLLOW_FAINT)
    at_last: tuple[BoneKind, ...] = (HOLLOW_LINE, HOLLOW_FAINT_LINE)
    other_tissue_hu: float = 15.0
    unturned: BoneKind = FAINT
    clear_worth: float = 2.5
    same_tries: int = 3
    same_end_mm: float = 8.0
    same_distance_mm: float = 2.0
    long_mm: float = 600.0
    kept_mm: float = 380.0
    kept_below_mm: float = 10.0
    min_kept_nodes: int = 5
    min_lost_nodes: int = 2
    min_right_nodes: int = 4
    lost_mm: float = 40.0
    further_rounds: int = 3
    others: tuple[BoneKind, ...] = (FIRM, FAINT, DENSE, HOLLOW, HOLLOW_FAINT)
    min_disc_distance_mm: float = 26.0
    min_pedicle: float = 0.12
    min_arch: float = 0.08
    arch_score: float = 1.15
    arch_vertebrae: int = 4
    clear_arch: float = 0.12
    arch_ahead_mm: tuple[float, float] = (-25.0, -5.0)
    arch_side_mm: float = 21.0
    arch_percent: tuple[float, float] = (20.0, 90.0)
    min_arch_seen: float = 0.6
    plain_score: float = 1.35
    pedicle_share: tuple[float, float] = (0.15, 0.5)
    min_end_score: float = 0.45
    added_height: tuple[float, float] = (0.75, 1.3)
    added_score: float = 0.3


@dataclass(frozen=True)
class AboveSettings:
    """Carrying a chain of vertebrae on to the head (own choice, lengths are anatomy).

    Attributes
    ----------
    room_mm : float
        Room above the first disc, within the CT, for one more vertebra.
    rounds : int
        So often at most the spine is carried on.
    reach_mm : float
        How far at once: three vertebrae, before the line has bent by half a body.
    node_mm : float
        Distance of the nodes.
    min_nodes, min_lost_nodes : int
        Nodes of what is sure, and of what was followed wrongly, without which it is left alone.
    lost_mm : float
        What was followed so far above the first disc is left out of the next traces.
    kinds : tuple of BoneKind
        How bone is told in them.
    same_disc_mm : float
        A disc that is found again lies within.
    plain_score, min_sure_discs : float, int
        The first disc need not be found again where its vertebra earned less than about half of
        what it could, and so many others are.
    """

    room_mm: float = 40.0
    rounds: int = 3
    reach_mm: float = 105.0
    node_mm: float = 6.0
    min_nodes: int = 3
    min_lost_nodes: int = 2
    lost_mm: float = 20.0
    kinds: tuple[BoneKind, ...] = (FIRM, FAINT, DENSE, FIRMER)
    same_disc_mm: float = 8.0
    plain_score: float = 1.0
    min_sure_discs: int = 2


@dataclass(frozen=True)
class TurnSettings:
    """Turning a line back that runs beside the bodies (own choice, lengths are anatomy).

    Attributes
    ----------
    rounds : int
        So often at most.
    min_deg, min_vertebrae : float, int
        A line is turned back where so many vertebrae are turned so far against it: where it runs
        in the middle of the bodies it was at most 12 degrees, at single ones 18.
    min_gain : float
        Share by which left and right must become more alike.
    step_deg, steps : float, int
        Turns to either side that are tried.
    off_cost, bend_cost : float
        HU that a degree costs, and a degree against the vertebra above.
    margin, plane_step : float, int
        Share of a vertebra at both ends that is left out; distance of the planes, mm.
    ahead_mm : tuple of float
        Range before the canal's centre that is compared: arch and body.
    side_step_mm, reach, edge : float, int, int
        Samples to each side, and how many of them at the edge are only compared with.
    min_seen : float
        Share of what is compared that the CT must show on both sides.
    aside_mm : tuple of float
        Where the midline may lie beside the canal's centre.
    hu_range : tuple of float
        HU above soft tissue are cut to it.
    node_mm : float
        Distance of the nodes of the line.
    """

    rounds: int = 2
    min_deg: float = 18.0
    min_vertebrae: int = 2
    min_gain: float = 0.15
    step_deg: float = 6.0
    steps: int = 6
    off_cost: float = 0.05
    bend_cost: float = 0.5
    margin: float = 0.15
    plane_step: int = 3
    ahead_mm: tuple[float, float] = (-30.0, 48.0)
    side_step_mm: float = 3.0
    reach: int = 11
    edge: int = 5
    min_seen: float = 0.7
    aside_mm: tuple[float, ...] = (-3.0, -1.5, 0.0, 1.5, 3.0)
    hu_range: tuple[float, float] = (-120.0, 200.0)
    node_mm: float = 6.0


@dataclass(frozen=True)
class RibSettings:
    """Bone that runs from the spine far out to the side.

    A transverse process ends 40 to 55 mm from the midline, a rib goes on (anatomy).

    Attributes
    ----------
    max_gap_cost, gap_cost_step : float
        Steps without bone that a rib may have (partial volume, cartilage at its neck), and how
        many more with each step out (own choice).
    opening : int
        Ribs are at most 12 mm thick; what is thicker than so many steps (a kidney full of
        contrast) is no rib.
    full_bone, min_bone : float
        Bone that leaves no gap, and that a rib must end on.
    start_mm : float
        A rib starts within so much of the canal's centre, front to back.
    bend_cost : float
        Price of a step off the usual way.
    covered_mm : tuple of float
        Range before the body's centre over which the CT must reach to the side.
    near_mm, far_mm : tuple of float
        How far out that is asked for, for a reach that divides and for all of it.
    min_covered : float
        Share of it.
    long_mm, short_mm : float
        Reach that divides ribs from transverse processes; the second in a narrow field of view.
    long_step_mm, short_step_mm : float
        Reach that makes evidence of 1.
    max_evidence, max_short_evidence : float
    """

    max_gap_cost: float = 1.3
    gap_cost_step: float = 0.05
    opening: int = 6
    full_bone: float = 0.3
    min_bone: float = 0.25
    start_mm: float = 16.0
    bend_cost: float = 0.05
    covered_mm: tuple[float, float] = (-57.0, -12.0)
    near_mm: tuple[float, float] = (27.0, 54.0)
    far_mm: tuple[float, float] = (57.0, 66.0)
    min_covered: float = 0.8
    long_mm: float = 56.0
    short_mm: float = 48.0
    long_step_mm: float = 5.0
    short_step_mm: float = 3.0
    max_evidence: float = 3.0
    max_short_evidence: float = 1.5


@dataclass(frozen=True)
class WitnessSettings:
    """Which part of each vertebra the two witnesses look at, and how much they say.

    Attributes
    ----------
    sharpness : float
        Factor on what the side network says: neighbours and both sides are not independent.
    max_evidence : float
        Of the network.
    place_mm : tuple of int
        Limits of the height of the two places below the last disc (anatomy).
    rib_share : tuple of float
        Part above and below the upper disc, in heights, in which a rib is looked for.
    ala_share : tuple of float
        Part of the height, from above, in which the sacral ala is.
    side_margin : float
        Share of the height at both ends that the network's answer is not taken from.
    min_seen : float
        Share of a place that must be seen.
    min_body_shown : float
        Share of a body, where the alae join it, without which nothing is the sacrum's (own choice).
    min_body_shown_with_ribs : float
        The same where the last ribs tell the names: less of it may be a deformed L5 between the
        iliac crests, whereas without ribs it is all there is to go by (own choice).
    ala_of_most : float
        Bone that divides: this share of the most that is seen,
    ala_limits : tuple of float
        within these. The broad transverse process of L5 shows a little; the sacrum much more.
    ala_steepness : float
        Evidence for bone twice as much as divides.
    ala_evidence : tuple of float
        Limits of the rules' evidence.
    worse_side, better_side : float
        The line may leave the sacrum sideways: the better side counts a little more.
    lung_ahead_mm, lung_side_mm : tuple of float
        Where lung lies beside a thoracic vertebra: behind the body's centre, where bowel does
        not come (anatomy).
    lung_hu : tuple of float
        Of lung; what is outside the body or the CT is lower.
    min_lung : float
        Share of lung on both sides from which a vertebra is thoracic (own choice; real scans,
        looked at only: 0.14 at T12 where there is some, 0 from L1 down).
    lung_evidence : float
        For ribs, from there upwards.
    """

    sharpness: float = 0.6
    max_evidence: float = 3.0
    place_mm: tuple[int, int] = (28, 42)
    rib_share: tuple[float, float] = (0.1, 0.6)
    ala_share: tuple[float, float] = (0.1, 0.55)
    side_margin: float = 0.2
    min_seen: float = 0.6
    min_body_shown: float = 0.5
    min_body_shown_with_ribs: float = 0.7
    ala_of_most: float = 0.5
    ala_limits: tuple[float, float] = (0.045, 0.12)
    ala_steepness: float = 3.0
    ala_evidence: tuple[float, float] = (-2.5, 5.0)
    worse_side: float = 0.4
    better_side: float = 0.6
    lung_ahead_mm: tuple[float, float] = (-45.0, 0.0)
    lung_side_mm: tuple[float, float] = (27.0, 46.0)
    lung_hu: tuple[float, float] = (-950.0, -400.0)
    min_lung: float = 0.1
    lung_evidence: float = 2.0


@dataclass(frozen=True)
class NumberingSettings:
    """What it takes to be sure of names.

    `clear`, `least`, `rib_drop_mm` and `overrule` are fitted: `python -m training.locator.check
    settings FOLDER` prints what other values cost on copies of virtual volumes. The rest is own
    choice.

    Attributes
    ----------
    clear : float
        Evidence beyond which the network has seen the sacrum, or has seen that it is none.
    least : float
        Probability below which names counted from one sign alone are uncertain.
    rib_drop_mm : float
        A rib comes down so far before it is told from a transverse process; that there is
        none counts only where the CT goes on so far below the vertebra.
    one_witness : float
        Confidence at most where one witness is sure of names and the other leans to others
        (31 of 31 names right there).
    overrule : float
        Evidence from which a network that counts four or six lumbar vertebrae makes names
        uncertain where the rules have seen rib, sacrum and five.
    weight, rule_weight : float
        Weight of a piece of evidence of the network and of the rules in the sum; below 1, as
        neighbours are not independent.
    rare : float
        What evidence must outweigh before a spine is taken for a transitional one: about one
        person in ten has a transitional vertebra, so it is no more than that of a rare case.
    rule_trust : tuple of float
        Of the rules' ribs at L1, L2, L3 and L4: long processes of L3, and the ilium beside L4
        and lower, look like ribs to them.
    rule_trust_last : float
        The same at the last lumbar vertebra.
    rule_ilium_divisor : float
        Divides the rules' ribs where they speak for S1, as bone there goes out to the ilium.
    below_sacrum_divisor : float
        Divides the ala's evidence below S1: the line may leave the sacrum's bend.
    rule_ala_rib, rule_ala_step : float
        The rules have seen the sacrum where ala and this share of the rib rise by so much from
        the vertebra above.
    no_rib : float
        Evidence from which there is no rib where the twelfth belongs.
    max_doubtful, max_unseen : float
        Probability at most of names that are uncertain, and of those without any sign.
    no_ala : float
        Evidence of the network at which it denies a sacrum that the rules see.
    followed : float
        Evidence of the rules from which a rib is followed far out, or is none.
    ribs_alone, ribs_doubtful : float
        Probability at most of names without the sacrum: as many people as in `rare` have a rib
        more or less, and where one thing speaks against the last ribs.
    """

    clear: float = 1.0
    least: float = 0.7
    rib_drop_mm: float = 20.0
    one_witness: float = 0.85
    overrule: float = 0.9
    weight: float = 0.75
    rule_weight: float = 0.5
    rare: float = 1.6
    rule_trust: tuple[float, ...] = (1.0, 1.0, 0.6, 0.4)
    rule_trust_last: float = 0.3
    rule_ilium_divisor: float = 3.0
    below_sacrum_divisor: float = 6.0
    rule_ala_rib: float = 0.6
    rule_ala_step: float = 1.5
    no_rib: float = -1.0
    max_doubtful: float = 0.5
    max_unseen: float = 0.35
    no_ala: float = -2.0
    followed: float = 1.5
    ribs_alone: float = 0.9
    ribs_doubtful: float = 0.75


@dataclass(frozen=True)
class TransitionalSettings:
    """When L5 counts as joined to the sacrum (Castellvi II to IV, Spine 1984;9:493).

    Attributes
    ----------
    joined : float
        Share of bone from which a side counts as joined. On virtual volumes at most 0.64 where
        it is not joined, mostly above 0.9 where it is, but 0.2 to 0.7 where spongy bone is
        hardly denser than muscle: there it is not told. The three real scans, looked at only:
        at most 0.53.
    side_mm : tuple of float
        Distance from the midline, between the body's edge and the ilium (anatomy).
    in_front_mm : tuple of float
        Range before the canal's centre in which a transverse process or the sacral ala lies.
    thick_mm : float
        Front-to-back thickness that must be bone; a usual transverse process is thinner.
    lower_share : float
        Share of the vertebra's height, from below, that a usual transverse process leaves free.
    min_covered : float
        Share of a side that the CT must cover.
    """

    joined: float = 0.8
    side_mm: tuple[float, float] = (27.0, 42.0)
    in_front_mm: tuple[float, float] = (-8.0, 24.0)
    thick_mm: float = 12.0
    lower_share: float = 0.45
    min_covered: float = 0.8


@dataclass(frozen=True)
class MidlineSettings:
    """The midline of each vertebra, by the likeness of its left to its right (own choice).

    Attributes
    ----------
    max_mm : float
        Largest distance of the midline from the line traced.
    off_cost, bend_cost : float
        HU that a mm off the line costs, and a mm aside from the vertebra above.
    reach : int
        Samples to each side that are compared: 33 mm, pedicles, processes and muscle.
    ahead_mm : tuple of float
        Range before the line that is compared.
    margin : float
        Share of the vertebra at both ends that is left out.
    hu_range : tuple of float
        HU above soft tissue are cut to it, so that screws and plaque count no more than bone.
    """

    max_mm: float = 19.5
    off_cost: float = 0.3
    bend_cost: float = 1.0
    reach: int = 11
    ahead_mm: tuple[float, float] = (-45.0, 16.0)
    margin: float = 0.15
    hu_range: tuple[float, float] = (-120.0, 200.0)


@dataclass(frozen=True)
class BodySettings:
    """Centre, width and height of each body, and when a spine is believed to be lumbar.

    Attributes
    ----------
    min_bodies : int
        One body alone, with nothing beside it, may be anything.
    min_width_mm : float
        Lumbar bodies are wider than this, those of the neck narrower (anatomy).
    half_planes : int
        Planes (mm) above and below a body's middle that its width is measured in.
    unseen_hu : float
        What is outside the CT is taken for fat.
    canal_front_mm, beyond_mm : float
        Only what lies in front of the canal is body: the canal's radius, and a mm more.
    side_mm, max_front_mm : float
        Half width that is weighed; how far before the line a body's middle may lie.
    wide_share, wide_percent, width_extra_mm : float
        Columns with this share of the usual bone (at this percentile) are body; the width is
        theirs and one sample more.
    min_height_mm, endplate_reach_mm : float, int
        Height at least; how far from a disc its endplates are looked for.
    min_depth_mm, max_depth_mm : float
        Depth from wall to wall, walls included (anatomy); what is not within is not believed.
    deeper_mm : float
        A body is at most so much deeper than the others of the same spine in the median: a
        vessel full of contrast that lies against one body is no part of it.
    max_ahead_mm : float
        Walls whose middle lies further from the line are not a body's but a vessel's full of
        contrast (on the real scans it is at most 7.5).
    walls_half_planes, walls_plane_step : int
        Planes (mm) about the middle in which walls are looked for.
    walls_side_mm, walls_side_step_mm : float
        The same to both sides.
    walls_ahead_mm : tuple of float
        Range before the line in which walls are looked for, every mm.
    inside_mm : float
        So near to the line it is inside the body.
    wall_share : float
        A wall is where bone falls to this share of what it is inside.
    walls_smooth : int
        Samples (mm) that are averaged.
    min_seen : float
        Share of what is looked at that must be in the CT.
    fit_steepness, fit_middle : float
        Logistic factor on the confidence, from what a vertebra earned in the chain (0.3 of 1.9
        is as likely one as none); own choice.
    max_confidence : float
        The finder is never certain.
    """

    min_bodies: int = 2
    min_width_mm: float = 24.0
    half_planes: int = 4
    unseen_hu: float = -100.0
    canal_front_mm: float = 8.0
    beyond_mm: float = 1.0
    side_mm: float = 27.0
    max_front_mm: float = 4.0
    wide_share: float = 0.25
    wide_percent: float = 90.0
    width_extra_mm: float = 3.0
    min_height_mm: float = 10.0
    endplate_reach_mm: int = 11
    min_depth_mm: float = 22.0
    max_depth_mm: float = 48.0
    deeper_mm: float = 2.0
    max_ahead_mm: float = 10.0
    walls_half_planes: int = 6
    walls_plane_step: int = 3
    walls_side_mm: float = 7.5
    walls_side_step_mm: float = 2.5
    walls_ahead_mm: tuple[float, float] = (-32.0, 40.0)
    inside_mm: float = 8.0
    wall_share: float = 0.5
    walls_smooth: int = 3
    min_seen: float = 0.9
    fit_steepness: float = 4.0
    fit_middle: float = 0.3
    max_confidence: float = 0.99


@dataclass(frozen=True)
class SegmentSettings:
    """Bodies within whole vertebrae of a segmentation, and label values that fit a scheme.

    Attributes
    ----------
    min_voxels : int
        A piece with fewer is a slip of the brush.
    min_painted_mm : float
        What is thinner along any axis is a slice or two of a vertebra and no body (anatomy:
        a body that has lost 60 % of its height is some 10 mm high).
    max_label : int
        No scheme has as large a value; it would ask for much memory.
    min_step_mm, max_step_mm : float
        Distance of the centres of neighbouring lumbar vertebrae (anatomy).
    min_lumbar : int
        Lumbar vertebrae from which a scheme can be told.
    min_direction_mm : float
        Distance of the neighbours' centres below which upright is taken.
    min_cell_mm, cell_share : float
        Cells of the map along the spine, in mm and in voxels.
    cell_margin : int
        Empty cells around it.
    thickness_sigma_cells, thickness_sigma_mm : float
        Its smoothing.
    min_thickness_mm, full_percent, body_share : float
        The body is as thick as this share of the percentile of all that has any thickness.
    radius_mm, min_radius_cells : float
        What is narrower than a disc of this radius is no body.
    large_share : float
        Pieces with this share of the largest one's area may be the body; the front-most is.
    min_cells : int
        Cells below which no endplate is fitted.
    fits : int
        Fits of an endplate: osteophytes and bases of the pedicles lie off the plane.
    off_plane_mm, off_plane_medians : float
        They are further off than both.
    max_tilt : float
        Steeper against the column (31 degrees) are no endplates (anatomy).
    height_mm : tuple of float
        Limits of the height.
    max_extent_mm : tuple of float
        Along R, A and S; no vertebra with its processes is larger,
    max_ml : float
        nor has a larger volume (anatomy: 60 to 110 ml).
    cut_share, cut_height, cut_volume : float
        A body is cut by the volume's edge where it meets it with so much of its mean section
        and is lower than this share of the others, or where the vertebra touches the edge and
        has a body smaller than this share of theirs.
    piece_share : float
        Share of a label in other pieces than the largest that is told.
    min_others : int
        Other bodies without which nothing is said of a body's height.
    too_high, too_low : float
        Heights against the others' median that are told: a neighbour of L1 to L5 differs by
        less than a fifth (anatomy), a body grade 3 by Genant has lost 40 % or more.
    grid_mm : tuple of float
        Steps of the search for the place where the labels lie on bone, coarse to fine.
    reach_mm : float
        How far it is searched.
    hu_range : tuple of float
        HU are cut to it.
    samples : int
        Points of the labels that are looked at.
    min_bone_hu : float
        Mean HU above soft tissue within the labels, below which they lie on no bone.
    min_off_mm, min_gain : float
        The labels lie beside the bone where they would have so much more of it, as a share,
        at least so far away.
    same_body_mm : float
        A level and one that is seen lie in the same body.
    """

    min_voxels: int = 20
    min_painted_mm: float = 6.0
    max_label: int = 100_000
    min_step_mm: float = 18.0
    max_step_mm: float = 55.0
    min_lumbar: int = 2
    min_direction_mm: float = 5.0
    min_cell_mm: float = 2.0
    cell_share: float = 1.2
    cell_margin: int = 4
    thickness_sigma_cells: float = 0.6
    thickness_sigma_mm: float = 1.5
    min_thickness_mm: float = 2.0
    full_percent: float = 92.0
    body_share: float = 0.6
    radius_mm: float = 7.0
    min_radius_cells: float = 1.5
    large_share: float = 0.4
    min_cells: int = 8
    fits: int = 3
    off_plane_mm: float = 2.0
    off_plane_medians: float = 1.5
    max_tilt: float = 0.6
    height_mm: tuple[float, float] = (5.0, 80.0)
    max_extent_mm: tuple[float, float, float] = (150.0, 140.0, 110.0)
    max_ml: float = 200.0
    cut_share: float = 0.25
    cut_height: float = 0.85
    cut_volume: float = 0.6
    piece_share: float = 0.15
    min_others: int = 2
    too_high: float = 1.3
    too_low: float = 0.65
    grid_mm: tuple[float, ...] = (8.0, 4.0, 2.0)
    reach_mm: float = 48.0
    hu_range: tuple[float, float] = (-50.0, 400.0)
    samples: int = 3000
    min_bone_hu: float = 25.0
    min_off_mm: float = 8.0
    min_gain: float = 0.15
    same_body_mm: float = 12.0


@dataclass(frozen=True)
class SpineSettings:
    """All settings of the finder, as `Traced` carries them."""

    grid: GridSettings = field(default_factory=GridSettings)
    bone: BoneSettings = field(default_factory=BoneSettings)
    column: ColumnSettings = field(default_factory=ColumnSettings)
    refine: RefineSettings = field(default_factory=RefineSettings)
    line: LineSettings = field(default_factory=LineSettings)
    recentre: RecentreSettings = field(default_factory=RecentreSettings)
    profile: ProfileSettings = field(default_factory=ProfileSettings)
    tilt: TiltSettings = field(default_factory=TiltSettings)
    chain: ChainSettings = field(default_factory=ChainSettings)
    trace: TraceSettings = field(default_factory=TraceSettings)
    above: AboveSettings = field(default_factory=AboveSettings)
    turn: TurnSettings = field(default_factory=TurnSettings)
    ribs: RibSettings = field(default_factory=RibSettings)
    witnesses: WitnessSettings = field(default_factory=WitnessSettings)
    numbering: NumberingSettings = field(default_factory=NumberingSettings)
    transitional: TransitionalSettings = field(default_factory=TransitionalSettings)
    midline: MidlineSettings = field(default_factory=MidlineSettings)
    body: BodySettings = field(default_factory=BodySettings)


SETTINGS = SpineSettings()
"""Those that the published results rest on."""
SEGMENTS = SegmentSettings()
"""Those for segmentations, which the finder does not use."""
