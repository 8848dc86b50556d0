#!/usr/bin/perl
# Canonicalises with libxml2, one request after another until stdin ends.
#
# A request is four fields, each a 4-byte big-endian length and that many bytes: the document, the wsu:Id of the apex
# element (empty: the whole document), the algorithm's URI, and the InclusiveNamespaces PrefixList. The answer is one
# byte, 0 or 1, and one field: the canonical form, or the words of the error.
use strict;
use warnings;
use XML::LibXML;

my $WSU = 'http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd';
my $parser = XML::LibXML->new(no_network => 1, load_ext_dtd => 0, huge => 1);

binmode STDIN;
binmode STDOUT;
$| = 1;
until (eof STDIN) {
    my ($doc, $apex, $algorithm, $prefixes) = map { read_field() } 1 .. 4;
    my $canonical = eval { canonicalize($doc, $apex, $algorithm, $prefixes) };
    answer(defined $canonical ? (0, $canonical) : (1, "$@"));
}

sub canonicalize {
    my ($doc, $apex, $algorithm, $prefixes) = @_;
    my $tree = $parser->load_xml(string => $doc);
    my $node = $apex eq '' ? $tree : find($tree, $apex);
    my $comments = $algorithm =~ /#WithComments$/ ? 1 : 0;
    return $node->toStringC14N($comments) if $algorithm !~ /xml-exc-c14n/;
    return $node->toStringEC14N($comments, undef, [split ' ', $prefixes]);
}

sub find {
    my ($tree, $id) = @_;
    my $xpath = XML::LibXML::XPathContext->new($tree);
    $xpath->registerNs(wsu => $WSU);
    my ($node) = $xpath->findnodes("//*[\@wsu:Id='$id']");
    return $node // die "no element with wsu:Id $id";
}

sub read_field {
    my $length = unpack 'N', read_bytes(4);
    return read_bytes($length);
}

sub read_bytes {
    my ($n) = @_;
    my $bytes = '';
    while (length $bytes < $n) {
        read(STDIN, $bytes, $n - length $bytes, length $bytes) or die 'stdin ended inside a request';
    }
    return $bytes;
}

sub answer {
    my ($status, $field) = @_;
    utf8::encode($field) if utf8::is_utf8($field);
    print pack('CN', $status, length $field), $field;
}
