//! Exact linear feasibility: is a vector a non-negative combination of generators?
//!
//! Phase one of the simplex method on rows of integers: each row is an equation, which any positive
//! number may multiply, so that no fractions come up. Systems here have tens of rows and are
//! sparse: first the generators that no combination can hold are dropped. A number that outgrows
//! 128 bits makes the answer unknown, never a wrong "yes".

use num_traits::{CheckedAdd, CheckedMul, CheckedSub, Signed};
use smallvec::SmallVec;
use std::cmp::Ordering;

/// Coefficients by the number of their monomial, each once and none of them zero.
pub(super) type Row = SmallVec<[(u32, i64); 6]>;

/// Vectors to combine.
pub(super) struct System<'a> {
    /// What is to be a combination.
    pub(super) target: &'a Row,
    /// Of what.
    pub(super) generators: &'a [Row],
    /// For each coordinate whether its unit vector is a generator too.
    pub(super) units: &'a [bool],
}

impl System<'_> {
    /// True if the target is a sum of non-negative multiples of the generators, `None` if the
    /// numbers grew too large to find out.
    pub(super) fn is_feasible(&self) -> Option<bool> {
        let Some(used) = self.usable() else { return Some(false) };
        let narrow = Tableau::<i64>::new(self, &used).and_then(Tableau::solve);
        narrow.or_else(|| Tableau::<i128>::new(self, &used)?.solve())
    }

    /// The generators that can occur in a combination: what one adds to a coordinate others must
    /// take away, and the reverse. `None` if nothing can make up for a part of the target.
    fn usable(&self) -> Option<Vec<usize>> {
        let mut used: Vec<usize> = (0..self.generators.len()).collect();
        // By coordinate: how many generators add to it, how many take away.
        let mut adding = vec![0u32; self.units.len()];
        let mut taking = vec![0u32; self.units.len()];
        let entries = |k: &usize| self.generators.get(*k).into_iter().flatten();
        for (m, c) in used.iter().flat_map(entries) {
            *(if *c > 0 { &mut adding } else { &mut taking }).get_mut(*m as usize)? += 1;
        }
        let mut goal = vec![0i64; self.units.len()];
        for (m, c) in self.target {
            *goal.get_mut(*m as usize)? = *c;
        }
        loop {
            let before = used.len();
            let one_sided = |(m, c): &(u32, i64)| {
                let m = *m as usize;
                let goal = goal.get(m).copied().unwrap_or(0);
                let unit = self.units.get(m).copied().unwrap_or(false);
                let count = |side: &[u32]| side.get(m).copied().unwrap_or(0);
                if *c > 0 {
                    goal <= 0 && count(&taking) == 0
                } else {
                    goal >= 0 && count(&adding) == 0 && !unit
                }
            };
            let (kept, dropped): (Vec<usize>, Vec<usize>) =
                used.into_iter().partition(|k| !entries(k).any(one_sided));
            used = kept;
            for (m, c) in dropped.iter().flat_map(entries) {
                *(if *c > 0 { &mut adding } else { &mut taking }).get_mut(*m as usize)? -= 1;
            }
            if used.len() == before {
                break;
            }
        }
        let reachable = self.target.iter().all(|(m, c)| {
            let m = *m as usize;
            let has = |side: &[u32]| side.get(m).is_some_and(|n| *n > 0);
            if *c > 0 {
                has(&adding) || self.units.get(m).copied().unwrap_or(false)
            } else {
                has(&taking)
            }
        });
        reachable.then_some(used)
    }
}

/// Numbers of a tableau: 64 bits nearly always do, 128 for the rest.
pub(super) trait Number:
    Copy + Ord + From<i64> + CheckedAdd + CheckedMul + CheckedSub + Signed
{
}
impl Number for i64 {}
impl Number for i128 {}

/// `x`, or `-x` if the row it stands in is negated to have a right side that is not negative.
fn signed<N: Number>(x: i64, right: i64) -> Option<N> {
    if right < 0 { N::zero().checked_sub(&N::from(x)) } else { Some(N::from(x)) }
}

/// The equation `scale * basic + sum of entries * variables = right`, with `right >= 0` and
/// `scale > 0`; the variables are those of the tableau's columns.
struct Equation<N> {
    basic: usize,
    scale: N,
    entries: Vec<N>,
    right: N,
}

impl<N: Number> Equation<N> {
    /// Puts what the pivot row says in place of its basic variable, which stands in this column;
    /// there the variable that left the basis comes to stand.
    fn eliminate(&mut self, pivot: &Equation<N>, column: usize) -> Option<()> {
        let factor = self.entries[column];
        if factor.is_zero() {
            return Some(());
        }
        let g = gcd(factor.abs(), pivot.scale);
        let (own, other) = (pivot.scale / g, factor / g);
        let combined = |x: N, y: N| x.checked_mul(&own)?.checked_sub(&y.checked_mul(&other)?);
        self.entries[column] = N::zero();
        for (x, y) in self.entries.iter_mut().zip(&pivot.entries) {
            if !(x.is_zero() && y.is_zero()) {
                *x = combined(*x, *y)?;
            }
        }
        self.scale = self.scale.checked_mul(&own)?;
        self.right = combined(self.right, pivot.right)?;
        self.shorten();
        Some(())
    }

    /// Divides by a common divisor once numbers are large.
    fn shorten(&mut self) {
        let large = N::from(1 << 20);
        let numbers = || self.entries.iter().chain([&self.scale, &self.right]);
        if numbers().all(|x| *x < large && -*x < large) {
            return;
        }
        let divisor =
            numbers().fold(N::zero(), |g, x| if g.is_one() { g } else { gcd(x.abs(), g) });
        if divisor > N::one() {
            let numbers = self.entries.iter_mut().chain([&mut self.scale, &mut self.right]);
            numbers.for_each(|x| *x = *x / divisor);
        }
    }
}

/// The greatest common divisor of numbers that are not negative.
pub(super) fn gcd<N: Number>(mut a: N, mut b: N) -> N {
    while !b.is_zero() {
        (a, b) = (b, a % b);
    }
    a
}

/// A basis with the other variables in terms of it. Variables are numbered: generators, then the
/// unit vectors, then one artificial variable for each equation that starts without another; those
/// never come back.
struct Tableau<N> {
    rows: Vec<Equation<N>>,
    /// The variable of each column; `None` once an artificial one has left.
    columns: Vec<Option<usize>>,
    /// The sum of the artificial variables, which is to become 0, is `right` less these entries.
    cost: Equation<N>,
    /// The first artificial variable.
    artificial: usize,
}

impl<N: Number> Tableau<N> {
    /// `None` if a number is too large.
    fn new(system: &System<'_>, used: &[usize]) -> Option<Tableau<N>> {
        let mut goal = vec![0i64; system.units.len()];
        for (m, c) in system.target {
            goal[*m as usize] = *c;
        }
        let generators = || used.iter().filter_map(|k| system.generators.get(*k));
        let mut present = vec![false; system.units.len()];
        for (m, _) in generators().flatten().chain(system.target) {
            present[*m as usize] = true;
        }
        // Unit vectors that do not start in the basis stand in columns.
        let against: Vec<usize> =
            (0..goal.len()).filter(|m| system.units[*m] && goal[*m] < 0).collect();
        let width = used.len() + against.len();
        let artificial = used.len() + goal.len();
        let mut place = vec![0usize; goal.len()];
        let mut rows: Vec<Equation<N>> = Vec::new();
        for m in (0..goal.len()).filter(|m| present[*m]) {
            place[m] = rows.len();
            let starts = system.units[m] && goal[m] >= 0;
            let basic = if starts { used.len() + m } else { artificial + m };
            let right = signed(goal[m], goal[m])?;
            rows.push(Equation { basic, scale: N::one(), entries: vec![N::zero(); width], right });
        }
        for (k, column) in generators().enumerate() {
            for (m, c) in column {
                let m = *m as usize;
                rows[place[m]].entries[k] = signed(*c, goal[m])?;
            }
        }
        for (k, m) in against.iter().enumerate() {
            rows[place[*m]].entries[used.len() + k] = -N::one();
        }
        let units = against.iter().map(|m| Some(used.len() + m));
        let columns = (0..used.len()).map(Some).chain(units).collect();
        let (entries, right) = (vec![N::zero(); width], N::zero());
        let mut cost = Equation { basic: usize::MAX, scale: N::zero(), entries, right };
        for row in rows.iter().filter(|row| row.basic >= artificial) {
            for (sum, x) in cost.entries.iter_mut().zip(&row.entries) {
                *sum = sum.checked_add(x)?;
            }
            cost.right = cost.right.checked_add(&row.right)?;
        }
        Some(Tableau { rows, columns, cost, artificial })
    }

    /// Drives the artificial variables to zero; `None` if a number grew too large.
    fn solve(mut self) -> Option<bool> {
        /// The rule of the largest coefficient is fast and may go round in circles; Bland's is slow
        /// and does not.
        const FAST_PIVOTS: usize = 60;
        /// Bounds the work on unlucky systems.
        const MAX_PIVOTS: usize = 400;
        for step in 0..MAX_PIVOTS {
            if self.cost.right.is_zero() {
                return Some(true);
            }
            let Some(column) = self.entering(step < FAST_PIVOTS) else { return Some(false) };
            let Some(row) = self.leaving(column)? else { return Some(false) };
            self.pivot(row, column)?;
        }
        Some(false)
    }

    /// A column that lowers the sum of the artificial variables.
    fn entering(&self, fast: bool) -> Option<usize> {
        let falling = self.cost.entries.iter().enumerate().filter(|(_, c)| c.is_positive());
        let best = match fast {
            true => falling.max_by_key(|(k, c)| (**c, std::cmp::Reverse(*k))),
            false => falling.min_by_key(|(k, _)| self.columns[*k]),
        };
        best.map(|(k, _)| k)
    }

    /// The row that first stops the variable of a column from growing.
    fn leaving(&self, column: usize) -> Option<Option<usize>> {
        let mut best: Option<usize> = None;
        for (r, row) in
            self.rows.iter().enumerate().filter(|(_, x)| x.entries[column].is_positive())
        {
            let Some(at) = best else {
                best = Some(r);
                continue;
            };
            let other = &self.rows[at];
            let here = row.right.checked_mul(&other.entries[column])?;
            let there = other.right.checked_mul(&row.entries[column])?;
            // Of equals an artificial one, which then is gone, otherwise the first.
            let rank = |basic: usize| (basic < self.artificial, basic);
            if here.cmp(&there).then(rank(row.basic).cmp(&rank(other.basic))) == Ordering::Less {
                best = Some(r);
            }
        }
        Some(best)
    }

    /// Exchanges the variables of a row and a column.
    fn pivot(&mut self, row: usize, column: usize) -> Option<()> {
        let mut pivot = self.rows.swap_remove(row);
        let scale = std::mem::replace(&mut pivot.scale, pivot.entries[column]);
        // What stands in the column from now on.
        pivot.entries[column] = if pivot.basic < self.artificial { scale } else { N::zero() };
        let leaves = (pivot.basic < self.artificial).then_some(pivot.basic);
        for other in self.rows.iter_mut().chain([&mut self.cost]) {
            other.eliminate(&pivot, column)?;
        }
        pivot.basic = std::mem::replace(&mut self.columns[column], leaves)?;
        self.rows.push(pivot);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Row, System};

    /// Whether the target is a combination of the generators and of the unit vectors named.
    fn combines(target: &[i64], generators: &[&[i64]], units: &[bool]) -> bool {
        let row =
            |v: &[i64]| -> Row { (0..).zip(v.iter().copied()).filter(|(_, c)| *c != 0).collect() };
        let generators: Vec<Row> = generators.iter().map(|g| row(g)).collect();
        System { target: &row(target), generators: &generators, units }.is_feasible() == Some(true)
    }

    #[test]
    fn cones() {
        let g: &[&[i64]] = &[&[1, 0], &[1, 1]];
        let none = [false, false];
        assert!(combines(&[3, 2], g, &none));
        assert!(!combines(&[1, 2], g, &none));
        assert!(combines(&[1, 2], g, &[false, true]));
        assert!(!combines(&[-1, 0], g, &none));
        assert!(combines(&[0, 0], &[], &none));
        assert!(!combines(&[1], &[], &[false]));
        assert!(combines(&[1], &[], &[true]));
        assert!(!combines(&[-1], &[], &[true]));
        assert!(combines(&[5, -3], &[&[1, 0], &[1, -1]], &none));
    }

    /// By Farkas' lemma a target is no combination exactly if a vector has a negative product with
    /// it and none with the generators. For numbers this small one of small numbers does.
    #[test]
    fn small_systems_agree_with_separating_vectors() {
        let mut state = 7u32;
        let mut next = |n: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            i64::from((state >> 16) % n)
        };
        let dot = |a: &[i64], b: &[i64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<i64>();
        let (mut yes, mut no) = (0, 0);
        for _ in 0..600 {
            let generators: Vec<Vec<i64>> =
                (0..4).map(|_| (0..3).map(|_| next(5) - 2).collect()).collect();
            let units: Vec<bool> = (0..3).map(|_| next(4) == 0).collect();
            let target: Vec<i64> = (0..3).map(|_| next(7) - 3).collect();
            let lists: Vec<&[i64]> = generators.iter().map(Vec::as_slice).collect();
            let found = combines(&target, &lists, &units);
            let separated = (0..17i64.pow(3)).any(|code| {
                let y = [code % 17 - 8, code / 17 % 17 - 8, code / 289 - 8];
                dot(&y, &target) < 0
                    && generators.iter().all(|g| dot(&y, g) >= 0)
                    && (0..3).all(|m| !units[m] || y[m] >= 0)
            });
            assert_ne!(found, separated, "{target:?} of {generators:?} and {units:?}");
            *(if found { &mut yes } else { &mut no }) += 1;
        }
        assert!(yes > 100 && no > 100, "{yes} {no}");
    }

    #[test]
    fn large_numbers() {
        let big = 1i64 << 40;
        assert!(combines(&[big, big - 1], &[&[big, 0], &[0, 3]], &[false, true]));
        let steep: &[&[i64]] = &[&[big, -1, 0], &[0, big, -1], &[0, 0, big]];
        assert!(combines(&[0, 0, 5], steep, &[false; 3]));
        assert!(!combines(&[0, -1, 5], steep, &[false; 3]));
    }
}
