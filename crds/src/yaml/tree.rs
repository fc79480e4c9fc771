//! YAML documents as trees whose every value knows its line.

use std::{borrow::Cow, collections::HashMap};

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, Tag};
use serde_json::Value;

use super::scalar;

/// Values in one file, those that aliases stand for among them: more than any manifest has, and few enough that a small
/// file whose aliases multiply cannot fill the memory.
const MOST_NODES: usize = 100_000;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// Its first line, counted from 1.
    pub(crate) line: usize,
    pub(crate) content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// A text, number, boolean or null, and how it was written.
    Scalar {
        value: Value,
        written: String,
    },
    List(Vec<Node>),
    /// In the order of the file, with names that stand twice.
    Map(Vec<Field>),
}

/// A name in a map and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) value: Node,
}

/// Text that is no YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: this is no YAML: {problem}")]
pub struct SyntaxError {
    /// Where, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
}

impl Node {
    /// The field of that name; the last one where it stands twice, as with kubectl.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        match &self.content {
            Content::Map(fields) => fields.iter().rev().find(|field| field.name == name),
            _ => None,
        }
    }

    /// Whether it is a null, which stands for a value that is absent.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { value: Value::Null, .. })
    }

    /// The text that it is.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { value, .. } => value.as_str(),
            _ => None,
        }
    }

    fn size(&self) -> usize {
        1 + match &self.content {
            Content::Scalar { .. } => 0,
            Content::List(entries) => entries.iter().map(Node::size).sum::<usize>(),
            Content::Map(fields) => fields.iter().map(|field| field.value.size()).sum::<usize>(),
        }
    }
}

/// The value as JSON, whatever it is.
pub(crate) fn plain(node: &Node) -> Value {
    match &node.content {
        Content::Scalar { value, .. } => value.clone(),
        Content::List(entries) => entries.iter().map(plain).collect(),
        Content::Map(fields) => fields.iter().map(|field| (field.name.clone(), plain(&field.value))).collect(),
    }
}

/// The values of a file's documents that are not empty.
///
/// # Errors
/// The text is no YAML.
pub fn read(text: &str) -> Result<Vec<Value>, SyntaxError> {
    match parse(text) {
        (documents, None) => Ok(documents.iter().map(plain).collect()),
        (_, Some(error)) => Err(error),
    }
}

/// The documents of a file that are not empty, and what ended the reading too early.
pub(crate) fn parse(text: &str) -> (Vec<Node>, Option<SyntaxError>) {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let taken = match event {
            Ok((event, span)) => builder.take(event, &span),
            Err(error) => Err(SyntaxError { line: error.marker().line(), problem: error.info() }),
        };
        if let Err(error) = taken {
            return (builder.documents, Some(error));
        }
    }
    (builder.documents, None)
}

/// A list or a map that is being read.
enum Open {
    List(Vec<Node>),
    Map { fields: Vec<Field>, name: Option<(String, usize)>, merged: Vec<Field> },
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    /// Those around the place that is being read, with their lines and anchors.
    open: Vec<(Open, usize, usize)>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), SyntaxError> {
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = value(&text, style, tag.as_deref()).map_err(|problem| SyntaxError { line, problem })?;
                self.add(Node { line, content: Content::Scalar { value, written: text.into_owned() } }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                known_tag(tag, "seq", line)?;
                self.open.push((Open::List(Vec::new()), line, anchor));
                Ok(())
            }
            Event::MappingStart(_, anchor, tag) => {
                known_tag(tag, "map", line)?;
                self.open.push((Open::Map { fields: Vec::new(), name: None, merged: Vec::new() }, line, anchor));
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some((open, line, anchor)) => self.add(Node { line, content: open.close() }, anchor),
                None => Ok(()),
            },
            Event::Alias(id) => {
                let node = self.anchors.get(&id).cloned().ok_or_else(|| SyntaxError {
                    line,
                    problem: "the alias stands inside of what it stands for: write the value out".into(),
                })?;
                self.add(node, 0)
            }
            Event::DocumentStart(..) => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Puts a finished value where it belongs.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), SyntaxError> {
        self.nodes += node.size();
        if self.nodes > MOST_NODES {
            let problem =
                format!("more than {MOST_NODES} values, with all that aliases stand for: write a smaller file");
            return Err(SyntaxError { line: node.line, problem });
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None if node.is_null() => {}
            None => self.documents.push(node),
            Some((Open::List(entries), ..)) => entries.push(node),
            Some((Open::Map { fields, name, merged }, ..)) => match (name.take(), node.content) {
                (None, Content::Scalar { written, .. }) => *name = Some((written, node.line)),
                (None, _) => {
                    let problem = "a list or a map cannot be a name: write a text before the colon".into();
                    return Err(SyntaxError { line: node.line, problem });
                }
                (Some((name, line)), content) if name == "<<" => merge(merged, content, line)?,
                (Some((name, line)), content) => {
                    fields.push(Field { name, line, value: Node { line: node.line, content } });
                }
            },
        }
        Ok(())
    }
}

impl Open {
    fn close(self) -> Content {
        match self {
            Open::List(entries) => Content::List(entries),
            Open::Map { mut fields, merged, .. } => {
                // What stands in the map itself beats what is merged into it.
                for field in merged {
                    if !fields.iter().any(|own| own.name == field.name) {
                        fields.push(field);
                    }
                }
                Content::Map(fields)
            }
        }
    }
}

/// `<<: *anchor` and `<<: [*one, *other]`.
fn merge(merged: &mut Vec<Field>, content: Content, line: usize) -> Result<(), SyntaxError> {
    match content {
        Content::Map(fields) => merged.extend(fields),
        Content::List(entries) => {
            for entry in entries {
                merge(merged, entry.content, line)?;
            }
        }
        Content::Scalar { .. } => {
            return Err(SyntaxError { line, problem: "`<<` merges maps: write an alias of one after it".into() });
        }
    }
    Ok(())
}

fn value(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let plain = style == ScalarStyle::Plain;
    let Some(tag) = tag else {
        return Ok(if plain { scalar::resolve(text) } else { Value::from(text) });
    };
    let resolved = scalar::resolve(text);
    let fits = match tag.core_suffix() {
        Some("str") => return Ok(Value::from(text)),
        Some("null") => resolved.is_null(),
        Some("bool") => resolved.is_boolean(),
        Some("int") => resolved.is_i64() || resolved.is_u64(),
        Some("float") => resolved.is_number(),
        _ => return Err(format!("the tag {} is not known here: leave it out", tag.original())),
    };
    if fits {
        Ok(resolved)
    } else {
        Err(format!("{text:?} is no {}: correct it, or leave the tag out", tag.original()))
    }
}

fn known_tag(tag: Option<Cow<'_, Tag>>, core: &str, line: usize) -> Result<(), SyntaxError> {
    match tag {
        Some(tag) if tag.core_suffix() != Some(core) => {
            Err(SyntaxError { line, problem: format!("the tag {} is not known here: leave it out", tag.original()) })
        }
        _ => Ok(()),
    }
}
