//! Differences that mean nothing, each with the reason. Everything that is not named here keeps the hub from starting.

use super::diff::{Difference, Item};
use super::expression;

/// A kind of difference that means nothing.
struct Rule {
    reason: &'static str,
    applies: fn(&Difference) -> bool,
}

const RULES: [Rule; 2] = [
    Rule { reason: "the table is not the hub's", applies: is_foreign_table },
    Rule { reason: "both say the same, in the words of the database and of the hub", applies: is_spelling },
];

/// Tables of the hub begin so; others in its schema are the migrations' record, what the database keeps for itself, and
/// what an operator put there.
pub(super) const PREFIX: &str = "musehub_";

/// Why a difference means nothing; none where it means something.
pub(super) fn reason(difference: &Difference) -> Option<&'static str> {
    RULES.iter().find(|rule| (rule.applies)(difference)).map(|rule| rule.reason)
}

fn is_foreign_table(difference: &Difference) -> bool {
    difference.item == Item::Table && difference.should.is_none() && !difference.table.starts_with(PREFIX)
}

/// A database prints expressions in its own way: with casts, with `= ANY (ARRAY[…])` for `IN (…)`, with other capitals.
fn is_spelling(difference: &Difference) -> bool {
    let expression = matches!(difference.item, Item::Default(_) | Item::Predicate(_));
    match (&difference.is, &difference.should) {
        (Some(is), Some(should)) if expression => expression::same(is, should),
        _ => false,
    }
}
