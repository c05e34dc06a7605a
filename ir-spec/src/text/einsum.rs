//! Einsum equations as strings, `"bij,bjk->bik"`, read as numpy reads them but with any number of
//! labels (any letter of any alphabet).

/// A label or the ellipsis of an operand.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Label {
    /// `...`: the leading axes that the labels do not name.
    Ellipsis,
    /// One index.
    Name(String),
}

/// An einsum equation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Einsum {
    /// Labels of each operand.
    pub inputs: Vec<Vec<Label>>,
    /// Labels of the result.
    pub output: Vec<Label>,
    /// True if the text names the result after `->`.
    pub explicit: bool,
}

/// Reads an equation; the message says what is wrong. Blanks are ignored. Without `->` the result
/// has the ellipsis, then the labels that occur once, sorted.
pub fn parse(text: &str) -> Result<Einsum, String> {
    let (left, right) = match text.split_once("->") {
        Some((l, r)) => (l, Some(r)),
        None => (text, None),
    };
    if right.is_some_and(|r| r.contains("->")) {
        return Err("`->` stands more than once".to_owned());
    }
    if left.trim().is_empty() && right.is_none() {
        return Err("the equation is empty".to_owned());
    }
    let inputs: Vec<Vec<Label>> = match (left.trim(), right) {
        // `->ii` has no operand, `->` alone neither; `,->` has two of rank 0.
        ("", Some(_)) => Vec::new(),
        _ => left.split(',').map(labels).collect::<Result<_, _>>()?,
    };
    let output = match right {
        Some(r) if r.contains(',') => return Err("the result is one list of labels".to_owned()),
        Some(r) => labels(r)?,
        None => implicit_output(&inputs),
    };
    Ok(Einsum { inputs, output, explicit: right.is_some() })
}

fn labels(text: &str) -> Result<Vec<Label>, String> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("...") {
            if out.contains(&Label::Ellipsis) {
                return Err(format!("`...` stands twice in `{}`", text.trim()));
            }
            out.push(Label::Ellipsis);
            rest = after.trim_start();
            continue;
        }
        if c == '.' {
            return Err(format!("a lone `.` in `{}`; an ellipsis has three", text.trim()));
        }
        if !c.is_alphabetic() {
            return Err(format!("`{c}` is not a label; labels are letters"));
        }
        out.push(Label::Name(c.to_string()));
        rest = rest.get(c.len_utf8()..).unwrap_or("").trim_start();
    }
    Ok(out)
}

/// The ellipsis if any operand has one, then the labels that occur once, sorted.
pub fn implicit_output(inputs: &[Vec<Label>]) -> Vec<Label> {
    let mut counts: indexmap::IndexMap<&Label, usize> = indexmap::IndexMap::new();
    for l in inputs.iter().flatten() {
        *counts.entry(l).or_insert(0) += 1;
    }
    let once = |(l, n): &(&Label, usize)| *n == 1 || **l == Label::Ellipsis;
    let mut out: Vec<Label> = counts.into_iter().filter(once).map(|(l, _)| l.clone()).collect();
    out.sort();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        let part = |l: &[Label]| -> String {
            l.iter()
                .map(|l| match l {
                    Label::Ellipsis => "...",
                    Label::Name(n) => n.as_str(),
                })
                .collect()
        };
        match parse(text) {
            Ok(e) => {
                let inputs: Vec<String> = e.inputs.iter().map(|l| part(l)).collect();
                format!("{}->{}", inputs.join(","), part(&e.output))
            }
            Err(m) => format!("error: {m}"),
        }
    }

    #[test]
    fn reads_like_numpy() {
        assert_eq!(show("ij, jk"), "ij,jk->ik");
        assert_eq!(show("ji"), "ji->ij");
        assert_eq!(show("b...i,Bi"), "b...i,Bi->...Bb");
        assert_eq!(show("ij->"), "ij->");
        assert_eq!(show(",->"), ",->");
        assert_eq!(show("->ii"), "->ii");
        assert_eq!(show("ää,äö->ö"), "ää,äö->ö");
        assert_eq!(show(""), "error: the equation is empty");
        assert_eq!(show("i.."), "error: a lone `.` in `i..`; an ellipsis has three");
        assert_eq!(show("i1"), "error: `1` is not a label; labels are letters");
    }
}
