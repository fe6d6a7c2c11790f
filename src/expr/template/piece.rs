//! The elements of a template: text, names, helper calls, and blocks that contain pieces. [`super::tags`] parses them,
//! and [`super::Template`] renders them.

use super::call::Call;
use crate::expr::field::Field;

/// A part of a template.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Text(Box<str>),
    /// `link`: the beginning of an address in HTML.
    Value {
        what: What,
        raw: bool,
        source: Box<str>,
        link: bool,
    },
    Block(Box<Block>),
}

/// The content of a pair of braces.
#[derive(Debug, Clone)]
pub(super) enum What {
    Name(Field),
    Call(Box<Call>),
}

/// The kinds of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockKind {
    If,
    Unless,
    Each,
    With,
}

/// A compiled block.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) kind: BlockKind,
    pub(super) of: What,
    /// `as |line n|`.
    pub(super) names: Vec<String>,
    pub(super) inner: Vec<Piece>,
    pub(super) otherwise: Vec<Piece>,
    pub(super) source: Box<str>,
}

impl Piece {
    pub(super) fn fields<'p>(&'p self, out: &mut Vec<&'p Field>) {
        match self {
            Piece::Text(_) => {}
            Piece::Value { what, .. } => what.fields(out),
            Piece::Block(block) => block.fields(out),
        }
    }
}

impl What {
    pub(super) fn fields<'p>(&'p self, out: &mut Vec<&'p Field>) {
        match self {
            What::Name(field) => out.push(field),
            What::Call(call) => out.extend(call.fields()),
        }
    }
}

impl Block {
    pub(super) fn fields<'b>(&'b self, out: &mut Vec<&'b Field>) {
        self.of.fields(out);
        self.inner.iter().chain(&self.otherwise).for_each(|p| p.fields(out));
    }
}
