import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.List;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.transform.OutputKeys;
import javax.xml.transform.Transformer;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.Node;

/** A SOAP envelope as a tree: reading, writing, and the way to its parts. */
final class Soap {
    static final String ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/";
    static final String WSSE =
            "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";

    private Soap() {}

    static Document parse(byte[] message) throws Exception {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        factory.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
        return factory.newDocumentBuilder().parse(new ByteArrayInputStream(message));
    }

    static byte[] serialize(Document message) throws Exception {
        Transformer copy = TransformerFactory.newInstance().newTransformer();
        copy.setOutputProperty(OutputKeys.OMIT_XML_DECLARATION, "yes");
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        copy.transform(new DOMSource(message), new StreamResult(out));
        return out.toByteArray();
    }

    static Element header(Document message) {
        return part(message, "Header");
    }

    static Element body(Document message) {
        return part(message, "Body");
    }

    /** A part of the envelope, of the SOAP version that the envelope is. */
    private static Element part(Document message, String name) {
        Element envelope = message.getDocumentElement();
        return child(envelope, envelope.getNamespaceURI(), name);
    }

    /** The header blocks but for wsse:Security. */
    static List<Element> blocks(Document message) {
        List<Element> blocks = new ArrayList<>();
        Element header = header(message);
        if (header == null) {
            return blocks;
        }
        for (Element e : children(header)) {
            if (!is(e, WSSE, "Security")) {
                blocks.add(e);
            }
        }
        return blocks;
    }

    static Element child(Element parent, String namespace, String name) {
        for (Element e : children(parent)) {
            if (is(e, namespace, name)) {
                return e;
            }
        }
        return null;
    }

    static List<Element> children(Element parent) {
        List<Element> children = new ArrayList<>();
        for (Node n = parent.getFirstChild(); n != null; n = n.getNextSibling()) {
            if (n instanceof Element) {
                children.add((Element) n);
            }
        }
        return children;
    }

    static boolean is(Element e, String namespace, String name) {
        return name.equals(e.getLocalName()) && namespace.equals(e.getNamespaceURI());
    }
}
