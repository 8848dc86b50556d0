import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import javax.xml.parsers.DocumentBuilder;
import javax.xml.parsers.DocumentBuilderFactory;
import org.apache.xml.security.Init;
import org.apache.xml.security.c14n.Canonicalizer;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.Node;
import org.w3c.dom.NodeList;
import org.xml.sax.ErrorHandler;
import org.xml.sax.SAXParseException;

/**
 * Canonicalises with Apache Santuario, one request after another until stdin ends.
 *
 * <p>A request is four fields, each a 4-byte big-endian length and that many bytes: the document, the wsu:Id of the
 * apex element (empty: the whole document), the algorithm's URI, and the InclusiveNamespaces PrefixList. The answer is
 * one byte, 0 or 1, and one field: the canonical form, or the words of the error.
 */
public final class C14nOracle {
    private static final String WSU =
            "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";

    public static void main(String[] args) throws Exception {
        Init.init();
        DocumentBuilder parser = newParser();
        DataInputStream in = new DataInputStream(new BufferedInputStream(System.in));
        DataOutputStream out = new DataOutputStream(new BufferedOutputStream(System.out));
        while (true) {
            in.mark(1);
            if (in.read() < 0) {
                return;
            }
            in.reset();
            byte[] doc = readField(in);
            String apex = text(readField(in));
            String algorithm = text(readField(in));
            String prefixes = text(readField(in));
            try {
                answer(out, 0, canonicalize(parser, doc, apex, algorithm, prefixes));
            } catch (Exception e) {
                answer(out, 1, String.valueOf(e.getMessage()).getBytes(StandardCharsets.UTF_8));
            }
        }
    }

    private static byte[] canonicalize(
            DocumentBuilder parser, byte[] doc, String apex, String algorithm, String prefixes) throws Exception {
        Document tree = parser.parse(new ByteArrayInputStream(doc));
        Node node = apex.isEmpty() ? wholeOf(tree) : find(tree, apex);
        Canonicalizer c14n = Canonicalizer.getInstance(algorithm);
        return prefixes.isEmpty() ? c14n.canonicalizeSubtree(node) : c14n.canonicalizeSubtree(node, prefixes);
    }

    /** Santuario 2.1.7 forgets what follows an empty document element: an empty text in it helps. */
    private static Document wholeOf(Document tree) {
        tree.getDocumentElement().appendChild(tree.createTextNode(""));
        return tree;
    }

    private static Element find(Document tree, String id) {
        NodeList all = tree.getElementsByTagNameNS("*", "*");
        for (int i = 0; i < all.getLength(); i++) {
            Element e = (Element) all.item(i);
            if (e.getAttributeNS(WSU, "Id").equals(id)) {
                return e;
            }
        }
        throw new IllegalArgumentException("no element with wsu:Id " + id);
    }

    private static DocumentBuilder newParser() throws Exception {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        factory.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
        DocumentBuilder parser = factory.newDocumentBuilder();
        parser.setErrorHandler(new Strict());
        return parser;
    }

    private static byte[] readField(DataInputStream in) throws IOException {
        byte[] field = new byte[in.readInt()];
        in.readFully(field);
        return field;
    }

    private static String text(byte[] field) {
        return new String(field, StandardCharsets.UTF_8);
    }

    private static void answer(DataOutputStream out, int status, byte[] field) throws IOException {
        out.writeByte(status);
        out.writeInt(field.length);
        out.write(field);
        out.flush();
    }

    /** Throws every parse error instead of printing it. */
    private static final class Strict implements ErrorHandler {
        public void warning(SAXParseException e) {}

        public void error(SAXParseException e) throws SAXParseException {
            throw e;
        }

        public void fatalError(SAXParseException e) throws SAXParseException {
            throw e;
        }
    }
}
