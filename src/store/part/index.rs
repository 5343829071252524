//! The index of a part: one document a block, with the block's tokens and the runs of letters
//! in its filtered tokens. No positions, no frequencies, nothing stored.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tantivy::directory::{OwnedBytes, RamDirectory};
use tantivy::indexer::SingleSegmentIndexWriter;
use tantivy::schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{Token, TokenStream, Tokenizer, TokenizerManager};
use tantivy::{
    Directory, DocSet, Index, IndexSettings, InvertedIndexReader, SegmentReader, TERMINATED,
    TantivyDocument,
};

use super::bundle::Bundle;
use super::dictionary::{BlockSet, BlockTerms, Terms};
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
        let written = PartIndex::of(&index)?;
        for field in TermField::ALL {
            files.push((field.file_name().to_owned(), written.terms(field)?.into_text()));
        }
        Ok(files)
    }
}

/// The index of a part, open for reading.
pub struct PartIndex {
    tokens: Arc<InvertedIndexReader>,
    runs: Arc<InvertedIndexReader>,
}

impl PartIndex {
    pub(super) fn open(files: HashMap<PathBuf, OwnedBytes>) -> Result<PartIndex, StoreError> {
        debug_assert!(files.contains_key(Path::new(META)));
        let index = Index::open(Bundle::new(files)).map_err(|error| fault(&error))?;
        PartIndex::of(&index)
    }

    fn of(index: &Index) -> Result<PartIndex, StoreError> {
        let segments = index.searchable_segments().map_err(|error| fault(&error))?;
        let [segment] = segments.as_slice() else {
            return Err(fault(&"an index of a part has one segment"));
        };
        let reader = SegmentReader::open(segment).map_err(|error| fault(&error))?;
        let names = fields();
        let open = |field: Field| reader.inverted_index(field).map_err(|error| fault(&error));
        Ok(PartIndex { tokens: open(names.tokens)?, runs: open(names.runs)? })
    }

    fn field(&self, field: TermField) -> &InvertedIndexReader {
        match field {
            TermField::Tokens => &self.tokens,
            TermField::Runs => &self.runs,
        }
    }

    pub(super) fn terms(&self, field: TermField) -> Result<Terms, StoreError> {
        Terms::collect(self.field(field)).map_err(|error| fault(&error))
    }

    /// What stands in the index for each block: tokens, and runs in filtered tokens.
    pub fn terms_of_blocks(&self, blocks: usize) -> Result<[BlockTerms; 2], StoreError> {
        let of = |field| Terms::of_blocks(self.field(field), blocks).map_err(|error| fault(&error));
        Ok([of(TermField::Tokens)?, of(TermField::Runs)?])
    }

    /// Adds the blocks that have a term.
    pub(super) fn add_blocks(
        &self,
        field: TermField,
        term: &[u8],
        found: &mut BlockSet,
    ) -> Result<(), StoreError> {
        let inverted = self.field(field);
        let info = inverted.terms().get(term).map_err(|error| fault(&error))?;
        let Some(info) = info else { return Ok(()) };
        let mut postings = inverted
            .read_postings_from_terminfo(&info, IndexRecordOption::Basic)
            .map_err(|error| fault(&error))?;
        let mut block = postings.doc();
        while block != TERMINATED {
            found.insert(block as usize);
            block = postings.advance();
        }
        Ok(())
    }
}

/// A field of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum TermField {
    Tokens,
    Runs,
}

impl TermField {
    pub const ALL: [TermField; 2] = [TermField::Tokens, TermField::Runs];

    /// Under which name its terms stand among the files of the index, so that most searches need
    /// nothing else of it.
    pub fn file_name(self) -> &'static str {
        match self {
            TermField::Tokens => "tokens.terms",
            TermField::Runs => "runs.terms",
        }
    }
}
