//! Whether two texts are the same SQL expression, as far as the spelling of PostgreSQL and SQLite differs.

/// Part of an expression.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    /// A name or key word, in lower case unless it was quoted for its capitals.
    Word(String),
    /// A literal between single quotes, without them.
    Text(String),
    /// A number.
    Number(String),
    /// Anything else: operators whole, parentheses and commas one by one.
    Symbol(String),
}

impl Token {
    fn is(&self, symbol: &str) -> bool {
        matches!(self, Self::Symbol(text) if text == symbol)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self, Self::Word(text) if text == word)
    }
}

/// Whether two expressions are the same but for casts, capitals, quotes around names, parentheses around the whole, and
/// `= ANY (ARRAY[…])` for `IN (…)`. What cannot be read is the same as nothing else.
pub(super) fn same(one: &str, other: &str) -> bool {
    match (tokens(one), tokens(other)) {
        (Some(one), Some(other)) => simplified(one) == simplified(other),
        _ => one == other,
    }
}

fn simplified(tokens: Vec<Token>) -> Vec<Token> {
    let mut tokens = with_in(without_casts(tokens));
    while is_enclosed(&tokens) {
        tokens = tokens[1..tokens.len() - 1].to_vec();
    }
    tokens
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '\'' => {
                let (text, length) = quoted(rest, '\'')?;
                (Token::Text(text), length)
            }
            '"' => {
                let (name, length) = quoted(rest, '"')?;
                (Token::Word(name), length)
            }
            c if c.is_ascii_digit() => {
                let length = span(rest, |c| c.is_ascii_alphanumeric() || c == '.');
                (Token::Number(rest[..length].to_owned()), length)
            }
            c if c.is_alphabetic() || c == '_' => {
                let length = span(rest, |c| c.is_alphanumeric() || c == '_');
                (Token::Word(rest[..length].to_lowercase()), length)
            }
            '(' | ')' | '[' | ']' | ',' | '.' => (Token::Symbol(first.to_string()), 1),
            _ => {
                let length = span(rest, |c| "+-*/<>=~!@#%^&|?:".contains(c));
                (Token::Symbol(rest.get(..length).filter(|text| !text.is_empty())?.to_owned()), length)
            }
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Some(tokens)
}

fn span(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// What stands between quotes, of which two in a row mean one, and how long it is with them.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut inside = String::new();
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c != quote {
            inside.push(c);
        } else if characters.next_if(|(_, next)| *next == quote).is_some() {
            inside.push(quote);
        } else {
            return Some((inside, at + 1));
        }
    }
    None
}

/// Leaves out `::type`, of which a number in quotes (`'-1'::integer`) becomes a number.
fn without_casts(tokens: Vec<Token>) -> Vec<Token> {
    let mut kept: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        if !token.is("::") {
            kept.push(token);
            continue;
        }
        let mut words = Vec::new();
        while let Some(Token::Word(word)) = rest.next_if(|token| is_type(token, &words)) {
            words.push(word);
        }
        skip_between(&mut rest, "(", ")");
        skip_between(&mut rest, "[", "]");
        let numeric = ["smallint", "integer", "bigint", "numeric", "double"];
        if words.first().is_some_and(|word| numeric.contains(&word.as_str())) {
            number(&mut kept);
        }
    }
    kept
}

/// Whether a word goes on with the name of a type: only these have more than one word.
fn is_type(token: &Token, words: &[String]) -> bool {
    match words {
        [] => matches!(token, Token::Word(_)),
        [first] => match first.as_str() {
            "character" => token.is_word("varying"),
            "double" => token.is_word("precision"),
            "timestamp" | "time" => token.is_word("with") || token.is_word("without"),
            _ => false,
        },
        [_, second] if second.starts_with("with") => token.is_word("time"),
        [_, second, _] if second.starts_with("with") => token.is_word("zone"),
        _ => false,
    }
}

fn skip_between(rest: &mut std::iter::Peekable<std::vec::IntoIter<Token>>, open: &str, close: &str) {
    if rest.next_if(|token| token.is(open)).is_some() {
        while rest.next().is_some_and(|token| !token.is(close)) {}
    }
}

/// Turns a text at the end into the number that it spells.
fn number(tokens: &mut Vec<Token>) {
    let Some(Token::Text(text)) = tokens.last() else { return };
    let negative = text.starts_with('-');
    let digits = text.trim_start_matches('-').to_owned();
    tokens.pop();
    if negative {
        tokens.push(Token::Symbol("-".to_owned()));
    }
    tokens.push(Token::Number(digits));
}

/// Writes `IN (…)` for `= ANY (ARRAY[…])`.
fn with_in(tokens: Vec<Token>) -> Vec<Token> {
    let mut written = Vec::with_capacity(tokens.len());
    let mut rest = tokens.as_slice();
    while let Some(token) = rest.first() {
        if let Some((values, length)) = any_of(rest) {
            written.push(Token::Word("in".to_owned()));
            written.push(Token::Symbol("(".to_owned()));
            written.extend_from_slice(values);
            written.push(Token::Symbol(")".to_owned()));
            rest = &rest[length..];
        } else {
            written.push(token.clone());
            rest = &rest[1..];
        }
    }
    written
}

/// The values of an `= ANY (ARRAY[…])`, perhaps with more parentheses, at the start, and how many tokens that is.
fn any_of(tokens: &[Token]) -> Option<(&[Token], usize)> {
    let [equals, any, rest @ ..] = tokens else { return None };
    if !equals.is("=") || !any.is_word("any") {
        return None;
    }
    let opened = rest.iter().take_while(|token| token.is("(")).count();
    let [array, open, values @ ..] = &rest[opened..] else { return None };
    if opened == 0 || !array.is_word("array") || !open.is("[") {
        return None;
    }
    let end = values.iter().position(|token| token.is("]"))?;
    let closed = values.get(end + 1..end + 1 + opened)?;
    closed.iter().all(|token| token.is(")")).then_some((&values[..end], 2 + opened + 2 + end + 1 + opened))
}

/// Whether the first parenthesis is closed by the last.
fn is_enclosed(tokens: &[Token]) -> bool {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        if token.is("(") {
            depth += 1;
        } else if token.is(")") {
            depth = depth.saturating_sub(1);
        }
        if depth == 0 {
            return at > 0 && at + 1 == tokens.len();
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn what_the_databases_print_is_what_was_declared() {
        for (printed, declared) in [
            ("'x'::character varying", "'x'"),
            ("'it''s'::text", "'it''s'"),
            ("'{}'::jsonb", "'{}'"),
            ("false", "FALSE"),
            ("'-1'::integer", "-1"),
            ("'7'::bigint", "7"),
            ("(0)", "0"),
            ("CURRENT_TIMESTAMP", "current_timestamp"),
            ("\"status\" IN ('pending', 'running')", "status IN ('pending', 'running')"),
            (
                "status::text = ANY (ARRAY['pending'::character varying, 'running'::character varying]::text[])",
                "status IN ('pending', 'running')",
            ),
            (
                "status = ANY ((ARRAY['a'::character varying(16), 'b'::character varying(16)])::text[]) AND n > 0",
                "status IN ('a', 'b') AND n > 0",
            ),
            ("revoked_at IS NULL", "\"revoked_at\" is null"),
            ("((a > 0))", "a > 0"),
            ("t::timestamp with time zone < x", "t < x"),
        ] {
            assert!(same(printed, declared), "{printed} against {declared}");
        }
    }

    #[test]
    fn what_differs_in_meaning_is_not_the_same() {
        for (one, other) in [
            ("'x'", "'X'"),
            ("'x'", "x"),
            ("'1'::character varying", "1"),
            ("'0'", "0"),
            ("0", "1"),
            ("-1", "1"),
            ("true", "false"),
            ("status IN ('pending', 'running')", "status IN ('pending')"),
            ("status = ANY (ARRAY['pending'::text])", "status IN ('running')"),
            ("status <> ALL (ARRAY['pending'::text])", "status IN ('pending')"),
            ("(a OR b) AND c", "a OR b AND c"),
            ("(a) OR (b)", "a OR b"),
            ("a IS NULL", "a IS NOT NULL"),
            ("'open", "'open'"),
            ("\"Name\" > 0", "name > 0"),
            ("", "0"),
        ] {
            assert!(!same(one, other), "{one} against {other}");
        }
    }
}
