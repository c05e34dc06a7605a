//! Orders given as text: `@path("((a,b),c)")`.

use super::Tree;
use thiserror::Error;

/// Why a path cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// The text is not nested pairs.
    #[error("a path is nested pairs such as `((a,b),c)`")]
    Syntax,
    /// A name is not an operand, or not every operand occurs once.
    #[error("the path does not name each operand once: {0}")]
    Operands(String),
}

/// Reads nested pairs over operand names; repeated names stand for the operands of that name in
/// order.
pub fn from_text(text: &str, operands: &[String]) -> Result<Tree, PathError> {
    let mut reader = Reader { rest: text.trim(), unused: operands.iter().map(Some).collect() };
    let tree = reader.tree()?;
    if !reader.rest.is_empty() {
        return Err(PathError::Syntax);
    }
    match reader.unused.into_iter().flatten().next() {
        Some(name) => Err(PathError::Operands(format!("`{name}` is missing"))),
        None => Ok(tree),
    }
}

struct Reader<'t> {
    rest: &'t str,
    unused: Vec<Option<&'t String>>,
}

impl Reader<'_> {
    fn eat(&mut self, c: char) -> Result<(), PathError> {
        self.rest = self.rest.strip_prefix(c).ok_or(PathError::Syntax)?.trim_start();
        Ok(())
    }

    fn tree(&mut self) -> Result<Tree, PathError> {
        if self.rest.starts_with('(') {
            self.eat('(')?;
            let mut tree = self.tree()?;
            while self.rest.starts_with(',') {
                self.eat(',')?;
                tree = Tree::Pair(Box::new(tree), Box::new(self.tree()?));
            }
            self.eat(')')?;
            return Ok(tree);
        }
        let end = self.rest.find([',', '(', ')']).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        let name = name.trim();
        let at = self.unused.iter().position(|u| u.is_some_and(|n| n == name));
        let Some(at) = at else {
            return Err(PathError::Operands(format!("`{name}` is not one, or occurs too often")));
        };
        if let Some(slot) = self.unused.get_mut(at) {
            *slot = None;
        }
        self.rest = rest.trim_start();
        Ok(Tree::Leaf(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_nested_pairs() {
        let names = ["a", "b", "a"].map(str::to_owned);
        let tree = from_text("(a, (b, a))", &names);
        let pair = Tree::Pair(Box::new(Tree::Leaf(1)), Box::new(Tree::Leaf(2)));
        assert_eq!(tree, Ok(Tree::Pair(Box::new(Tree::Leaf(0)), Box::new(pair))));
        assert!(from_text("(a,b)", &names).is_err());
        assert_eq!(from_text("(a,b", &names), Err(PathError::Syntax));
    }
}
