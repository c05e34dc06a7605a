//! Counterexamples: values for which all facts hold and a goal does not.
//!
//! Most goals that do not follow fail at a corner: some loop at its first iteration, another at its
//! last one. Looking there is much cheaper than finding out that no proof exists. Nothing rests on
//! the answer "none found".

use super::{IntExpr, Symbol};
use smallvec::SmallVec;

/// Sizes by their place among the symbols.
const SIZES: [fn(i64) -> i64; 4] = [|k| 1001 + 96 * k, |k| 17 + 6 * k, |k| 1 + k % 2, |_| 0];

/// The last value of a variable that no fact bounds.
const FREE: i64 = 1000;

/// Which variables, in the order of the facts, are at their last value.
const CORNERS: [u32; 4] = [!0, 0, 0x5555_5555, 0xaaaa_aaaa];

/// Values for which the facts that have to do with a goal hold, and so does the goal.
pub(super) struct Samples(Vec<Sample>);

impl Samples {
    /// `None` if values were found for which the facts hold and `goal >= 0` does not: it does not
    /// follow.
    pub(super) fn without_counterexample(goal: &IntExpr, facts: &[IntExpr]) -> Option<Samples> {
        let relevant = relevant(goal, facts);
        let mut samples: Vec<Sample> = Vec::new();
        for size in SIZES {
            for corner in CORNERS {
                let Some(sample) = Sample::at(goal, &relevant, size, corner) else { continue };
                if sample.value(goal).is_some_and(|v| v < 0) {
                    return None;
                }
                if !samples.contains(&sample) {
                    samples.push(sample);
                }
            }
        }
        Some(Samples(samples))
    }

    /// True if one of the values shows that `goal >= 0` does not follow either.
    pub(super) fn refute(&self, goal: &IntExpr) -> bool {
        self.0.iter().any(|s| s.value(goal).is_some_and(|v| v < 0))
    }
}

/// The facts that share symbols with the goal, directly or through others, in their order.
fn relevant<'f>(goal: &IntExpr, facts: &'f [IntExpr]) -> Vec<&'f IntExpr> {
    let mut symbols: SmallVec<[Symbol; 8]> = SmallVec::new();
    goal.visit_symbols(&mut |s| symbols.push(s));
    let mut chosen = vec![false; facts.len()];
    loop {
        let mut grown = false;
        for (fact, chosen) in facts.iter().zip(&mut chosen).filter(|(_, c)| !**c) {
            let mut shares = false;
            fact.visit_symbols(&mut |s| shares |= symbols.contains(&s));
            if shares {
                (*chosen, grown) = (true, true);
                fact.visit_symbols(&mut |s| {
                    if !symbols.contains(&s) {
                        symbols.push(s);
                    }
                });
            }
        }
        if !grown {
            break;
        }
    }
    facts.iter().zip(chosen).filter(|(_, c)| *c).map(|(f, _)| f).collect()
}

/// Values of symbols.
#[derive(Default, PartialEq)]
struct Sample(SmallVec<[(Symbol, i64); 12]>);

impl Sample {
    /// Values at a corner for which the facts hold, if those of the variables can be read off the
    /// facts.
    fn at(goal: &IntExpr, facts: &[&IntExpr], size: fn(i64) -> i64, corner: u32) -> Option<Sample> {
        let mut sample = Sample::default();
        let mut add_sizes = |e: &IntExpr| {
            e.visit_symbols(&mut |s| {
                if matches!(s, Symbol::Size(_)) && sample.of(s).is_none() {
                    let k = sample.0.len() as i64;
                    sample.0.push((s, size(k)));
                }
            });
        };
        add_sizes(goal);
        facts.iter().for_each(|f| add_sizes(f));
        let mut least: SmallVec<[(Symbol, i64); 12]> = SmallVec::new();
        let mut variables = 0;
        for f in facts {
            let mut open: SmallVec<[Symbol; 4]> = SmallVec::new();
            f.visit_symbols(&mut |s| {
                if sample.of(s).is_none() && !open.contains(&s) {
                    open.push(s);
                }
            });
            let [v] = open.as_slice() else {
                if open.is_empty() && sample.value(f)? < 0 {
                    return None;
                }
                continue;
            };
            let (c, rest) = f.linear_in(*v)?;
            let (c, rest) = (c.as_constant()?, sample.value(&rest)?);
            if c > 0 {
                least.push((*v, (-rest).div_euclid(c) + i64::from((-rest).rem_euclid(c) != 0)));
                continue;
            }
            let first = least.iter().filter(|(w, _)| w == v).map(|(_, n)| *n).fold(0, i64::max);
            let last = rest.div_euclid(-c);
            if last < first {
                return None;
            }
            let at_last = corner >> (variables % 32) & 1 == 1;
            sample.0.push((*v, if at_last { last } else { first }));
            variables += 1;
        }
        goal.visit_symbols(&mut |s| {
            if sample.of(s).is_none() {
                sample.0.push((s, if corner & 1 == 1 { FREE } else { 0 }));
            }
        });
        let holds = |f: &&&IntExpr| sample.value(f).is_some_and(|v| v >= 0);
        (facts.iter().filter(holds).count() == facts.len()).then_some(sample)
    }

    fn of(&self, s: Symbol) -> Option<i64> {
        self.0.iter().find(|(t, _)| *t == s).map(|(_, v)| *v)
    }

    /// The value of an expression whose symbols all have one.
    fn value(&self, e: &IntExpr) -> Option<i64> {
        let mut known = true;
        e.visit_symbols(&mut |s| known &= self.of(s).is_some());
        if !known {
            return None;
        }
        e.eval(&|s| self.of(s).unwrap_or(0)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Samples;
    use crate::int::IntExpr;
    use crate::int::testing::{c, s, v};

    fn has_counterexample(goal: &IntExpr, facts: &[IntExpr]) -> bool {
        Samples::without_counterexample(goal, facts).is_none()
    }

    #[test]
    fn samples_refute_other_goals() {
        // i < N and N >= 2: not i + 2 <= N.
        let facts = [s(0) - c(2), s(0) - c(1) - v(0)];
        let samples = Samples::without_counterexample(&facts[1], &facts);
        let samples = samples.expect("a fact follows");
        assert!(samples.refute(&(s(0) - c(2) - v(0))));
        assert!(!samples.refute(&(c(2) * s(0) - c(2) - v(0))));
        // Of another variable they say nothing.
        assert!(!samples.refute(&-v(7)));
    }

    #[test]
    fn tails_are_found() {
        // io in 0..(N + 7)/8, ii in 0..8: 8*io + ii < N fails in the last tile.
        let facts = [(s(0) + c(7)).div(&c(8)) - c(1) - v(0), c(7) - v(1)];
        let inside = s(0) - c(1) - c(8) * v(0) - v(1);
        assert!(has_counterexample(&inside, &facts));
        let guarded = [facts[0].clone(), facts[1].clone(), inside.clone()];
        assert!(!has_counterexample(&inside, &guarded));
        // That an outer loop is not at its end is no more known.
        assert!(has_counterexample(&(s(0) - c(8) - c(8) * v(0)), &guarded));
        // A variable that nothing bounds.
        assert!(has_counterexample(&(c(500) - v(7)), &[]));
    }

    #[test]
    fn true_goals_have_none() {
        let facts = [s(0) - c(1) - v(0), v(1) - v(0), s(1) - c(1) - v(1)];
        assert!(!has_counterexample(&(v(1) - v(0)), &facts));
        assert!(has_counterexample(&(v(0) - v(1)), &facts));
        // The only sizes that meet this fact are not tried.
        assert!(!has_counterexample(&(s(0) - c(1 << 31)), &[s(0) - c(1 << 30)]));
    }
}
