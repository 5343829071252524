//! The index of a part: one document a block, with the block's tokens and the runs of letters
//! in its filtered tokens. No positions, no frequencies, nothing stored.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tantivy::directory::{OwnedBytes, RamDirectory};
use tantivy::indexer::SingleSegmentIndexWriter;
use tantivy::schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{Token, TokenStream, Tokenizer, TokenizerManager};
use tantivy::{Directory, Index, IndexSettings, SegmentReader, TantivyDocument};

use super::bundle::Bundle;
use super::dictionary::Dictionary;
use crate::store::error::StoreError;

const META: &str = "meta.json";
/// Where tantivy starts; it takes more as it needs.
const MEMORY_BYTES: usize = 16 << 20;
/// Ends each token in the text given to tantivy; it occurs in none.
const END: u8 = 0;

/// Cuts at `END`.
#[derive(Clone, Default)]
struct Cut;

struct CutStream<'a> {
    rest: &'a str,
    token: Token,
}

impl Tokenizer for Cut {
    type TokenStream<'a> = CutStream<'a>;
    fn token_stream<'a>(&'a mut self, text: &'a str) -> CutStream<'a> {
        // Positions are not indexed, but tantivy adds them up; the default one is its largest.
        CutStream { rest: text, token: Token { position: 0, ..Token::default() } }
    }
}

impl TokenStream for CutStream<'_> {
    fn advance(&mut self) -> bool {
        let Some(end) = memchr::memchr(END, self.rest.as_bytes()) else { return false };
        self.token.text.clear();
        self.token.text.push_str(&self.rest[..end]);
        self.rest = &self.rest[end + 1..];
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

struct Fields {
    schema: Schema,
    tokens: Field,
    runs: Field,
}

fn fields() -> Fields {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer("cut")
        .set_fieldnorms(false)
        .set_index_option(IndexRecordOption::Basic);
    let options = TextOptions::default().set_indexing_options(indexing);
    let mut schema = Schema::builder();
    let tokens = schema.add_text_field("tokens", options.clone());
    let runs = schema.add_text_field("runs", options);
    Fields { schema: schema.build(), tokens, runs }
}

pub(super) fn fault(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Index(error.to_string())
}

/// Tokens of a block, waiting for tantivy.
#[derive(Debug, Default)]
pub(super) struct TokenText(String);

impl TokenText {
    pub fn push(&mut self, token: &[u8]) {
        // Tokens are cut at ASCII bytes out of UTF-8, so they are UTF-8.
        if let Ok(token) = std::str::from_utf8(token) {
            self.0.push_str(token);
            self.0.push(END as char);
        }
    }
}

pub(super) struct IndexWriter {
    writer: SingleSegmentIndexWriter,
    directory: RamDirectory,
    tokens: Field,
    runs: Field,
}

impl IndexWriter {
    pub fn new() -> Result<IndexWriter, StoreError> {
        let Fields { schema, tokens, runs } = fields();
        let tokenizers = TokenizerManager::new();
        tokenizers.register("cut", Cut);
        let directory = RamDirectory::create();
        let settings = IndexSettings {
            docstore_compression: tantivy::store::Compressor::None,
            docstore_compress_dedicated_thread: false,
            ..IndexSettings::default()
        };
        let writer = Index::builder()
            .schema(schema)
            .settings(settings)
            .tokenizers(tokenizers)
            .single_segment_index_writer(directory.clone(), MEMORY_BYTES)
            .map_err(|error| fault(&error))?;
        Ok(IndexWriter { writer, directory, tokens, runs })
    }

    /// Blocks are numbered in the order in which they are added.
    pub fn add(&mut self, tokens: &mut TokenText, runs: &mut TokenText) -> Result<(), StoreError> {
        let mut document = TantivyDocument::default();
        document.add_text(self.tokens, &tokens.0);
        document.add_text(self.runs, &runs.0);
        tokens.0.clear();
        runs.0.clear();
        self.writer.add_document(document).map_err(|error| fault(&error))
    }

    /// The files of the index.
    pub fn finish(self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let index = self.writer.finalize().map_err(|error| fault(&error))?;
        let mut names: Vec<PathBuf> = index.directory().list_managed_files().into_iter().collect();
        names.push(META.into());
        names.sort();
        names.dedup();
        let mut files = Vec::new();
        for name in names {
            let exists = self.directory.exists(&name).map_err(|error| fault(&error))?;
            if exists && let Some(text) = name.to_str() {
                let bytes = self.directory.atomic_read(&name).map_err(|error| fault(&error))?;
                files.push((text.to_owned(), bytes));
            }
        }
        Ok(files)
    }
}

/// The index of a part, open for reading.
pub struct PartIndex {
    pub(super) tokens: Dictionary,
    pub(super) runs: Dictionary,
}

impl PartIndex {
    pub(super) fn open(files: HashMap<PathBuf, OwnedBytes>) -> Result<PartIndex, StoreError> {
        debug_assert!(files.contains_key(Path::new(META)));
        let index = Index::open(Bundle::new(files)).map_err(|error| fault(&error))?;
        let segments = index.searchable_segments().map_err(|error| fault(&error))?;
        let [segment] = segments.as_slice() else {
            return Err(fault(&"an index of a part has one segment"));
        };
        let reader = SegmentReader::open(segment).map_err(|error| fault(&error))?;
        let names = fields();
        let open = |field: Field| {
            let inverted = reader.inverted_index(field).map_err(|error| fault(&error))?;
            Dictionary::open(inverted, reader.max_doc()).map_err(|error| fault(&error))
        };
        Ok(PartIndex { tokens: open(names.tokens)?, runs: open(names.runs)? })
    }

    /// What stands in the index for each block: tokens, and runs in filtered tokens.
    pub fn terms_of_blocks(&self) -> Result<[Vec<Vec<u32>>; 2], StoreError> {
        let tokens = self.tokens.terms_of_blocks().map_err(|error| fault(&error))?;
        let runs = self.runs.terms_of_blocks().map_err(|error| fault(&error))?;
        Ok([tokens, runs])
    }

    pub fn token(&self, at: u32) -> &[u8] {
        self.tokens.term(at)
    }

    pub fn run(&self, at: u32) -> &[u8] {
        self.runs.term(at)
    }

    pub fn memory_bytes(&self) -> usize {
        self.tokens.memory_bytes() + self.runs.memory_bytes()
    }
}
