//! Exact linear feasibility: is a vector a non-negative combination of generators?
//!
//! Phase one of the simplex method in 128-bit rationals with Bland's rule. Systems here have tens
//! of rows; a rational that outgrows 128 bits makes the answer "not shown", never a wrong "yes".

use std::cmp::Ordering;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ratio {
    num: i128,
    den: i128,
}

const ZERO: Ratio = Ratio { num: 0, den: 1 };

impl Ratio {
    fn new(num: i128, den: i128) -> Option<Ratio> {
        if den == 1 {
            return Some(Ratio { num, den });
        }
        let g = gcd(num.unsigned_abs(), den.unsigned_abs()) as i128;
        let sign = if den < 0 { -1 } else { 1 };
        (den != 0).then(|| Ratio { num: sign * num / g, den: sign * den / g })
    }
    fn sub_mul(self, a: Ratio, b: Ratio) -> Option<Ratio> {
        if a.num == 0 || b.num == 0 {
            return Some(self);
        }
        let num = a.num.checked_mul(b.num)?;
        let den = a.den.checked_mul(b.den)?;
        let p = Ratio::new(num, den)?;
        let left = self.num.checked_mul(p.den)?;
        let right = p.num.checked_mul(self.den)?;
        Ratio::new(left.checked_sub(right)?, self.den.checked_mul(p.den)?)
    }
    fn add(self, other: Ratio) -> Option<Ratio> {
        if self.den == 1 && other.den == 1 {
            return Some(Ratio { num: self.num.checked_add(other.num)?, den: 1 });
        }
        self.sub_mul(other, Ratio { num: -1, den: 1 })
    }
    fn div(self, other: Ratio) -> Option<Ratio> {
        if self.num == 0 || other == (Ratio { num: 1, den: 1 }) {
            return (other.num != 0).then_some(self);
        }
        Ratio::new(self.num.checked_mul(other.den)?, self.den.checked_mul(other.num)?)
    }
    fn cmp(self, other: Ratio) -> Option<Ordering> {
        Some(self.num.checked_mul(other.den)?.cmp(&other.num.checked_mul(self.den)?))
    }
}

fn gcd(a: u128, b: u128) -> u128 {
    if let (Ok(a), Ok(b)) = (u64::try_from(a), u64::try_from(b)) {
        return u128::from(gcd_of_words(a, b));
    }
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

/// The usual case, in words of the machine.
fn gcd_of_words(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

/// True only if `target` equals a sum of non-negative multiples of `generators`. All vectors have
/// the same length.
pub(super) fn is_combination(target: &[i64], generators: &[Vec<i64>]) -> bool {
    Tableau::new(target, generators).and_then(Tableau::solve).unwrap_or(false)
}

/// Rows `[generators | right side]`, right sides non-negative; artificial variables form the first
/// basis and never come back.
struct Tableau {
    rows: Vec<Vec<Ratio>>,
    /// Column in the basis of each row; artificial variables have numbers from `columns` on.
    basis: Vec<usize>,
    columns: usize,
}

impl Tableau {
    fn new(target: &[i64], generators: &[Vec<i64>]) -> Option<Tableau> {
        let columns = generators.len();
        let mut rows = Vec::with_capacity(target.len());
        for (r, t) in target.iter().enumerate() {
            let sign = if *t < 0 { -1 } else { 1 };
            let mut row = Vec::with_capacity(columns + 1);
            for g in generators {
                row.push(Ratio::new(sign * i128::from(*g.get(r)?), 1)?);
            }
            row.push(Ratio::new(i128::from(*t).abs(), 1)?);
            rows.push(row);
        }
        let basis = (columns..columns + rows.len()).collect();
        Some(Tableau { rows, basis, columns })
    }

    /// Drives the artificial variables to zero; `None` if a number grew too large.
    fn solve(mut self) -> Option<bool> {
        /// Bland's rule terminates; the cap bounds the work on unlucky systems.
        const MAX_PIVOTS: usize = 400;
        for _ in 0..MAX_PIVOTS {
            let Some(entering) = self.entering_column()? else {
                return Some(self.artificials_are_zero());
            };
            let Some(leaving) = self.leaving_row(entering)? else { return Some(false) };
            self.pivot(leaving, entering)?;
        }
        Some(false)
    }

    /// The first column whose reduced cost (sum over rows with an artificial basis) is positive.
    fn entering_column(&self) -> Option<Option<usize>> {
        for column in 0..self.columns {
            let mut sum = ZERO;
            for (row, basic) in self.rows.iter().zip(&self.basis) {
                if *basic >= self.columns {
                    sum = sum.add(*row.get(column)?)?;
                }
            }
            if sum.num > 0 {
                return Some(Some(column));
            }
        }
        Some(None)
    }

    fn leaving_row(&self, entering: usize) -> Option<Option<usize>> {
        let mut best: Option<(usize, Ratio)> = None;
        for (r, row) in self.rows.iter().enumerate() {
            let a = *row.get(entering)?;
            if a.num <= 0 {
                continue;
            }
            let ratio = row.last()?.div(a)?;
            let better = match best {
                None => true,
                Some((b, current)) => match ratio.cmp(current)? {
                    Ordering::Less => true,
                    Ordering::Equal => self.basis.get(r)? < self.basis.get(b)?,
                    Ordering::Greater => false,
                },
            };
            if better {
                best = Some((r, ratio));
            }
        }
        Some(best.map(|(r, _)| r))
    }

    fn pivot(&mut self, leaving: usize, entering: usize) -> Option<()> {
        let pivot_row = self.rows.get(leaving)?;
        let p = *pivot_row.get(entering)?;
        let scaled = pivot_row.iter().map(|x| x.div(p)).collect::<Option<Vec<_>>>()?;
        for (r, row) in self.rows.iter_mut().enumerate() {
            if r == leaving {
                continue;
            }
            let factor = *row.get(entering)?;
            if factor.num != 0 {
                for (x, s) in row.iter_mut().zip(&scaled) {
                    *x = x.sub_mul(factor, *s)?;
                }
            }
        }
        *self.rows.get_mut(leaving)? = scaled;
        *self.basis.get_mut(leaving)? = entering;
        Some(())
    }

    fn artificials_are_zero(&self) -> bool {
        self.rows
            .iter()
            .zip(&self.basis)
            .all(|(row, basic)| *basic < self.columns || row.last().is_some_and(|b| b.num == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::is_combination;

    #[test]
    fn cones() {
        let g = vec![vec![1, 0], vec![1, 1]];
        assert!(is_combination(&[3, 2], &g));
        assert!(!is_combination(&[1, 2], &g));
        assert!(!is_combination(&[-1, 0], &g));
        assert!(is_combination(&[0, 0], &[]));
        assert!(!is_combination(&[1], &[]));
        assert!(is_combination(&[5, -3], &[vec![1, 0], vec![1, -1]]));
    }
}
