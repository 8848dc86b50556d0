import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import eu.emi.security.authn.x509.impl.PEMCredential;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import javax.net.ssl.KeyManager;
import javax.net.ssl.SSLContext;
import org.apache.axis.Message;
import org.apache.axis.MessageContext;
import org.apache.axis.configuration.SimpleProvider;
import org.apache.axis.handlers.soap.SOAPService;
import org.apache.axis.providers.java.RPCProvider;
import org.apache.axis.server.AxisServer;
import org.apache.ws.security.WSSConfig;
import org.w3c.dom.Document;
import org.w3c.dom.Element;

/**
 * An Axis 1.4 service behind WSS4J: requests must be signed in full by a trusted user, replies are signed by the host.
 *
 * <pre>AxisService HOST-CREDENTIAL CA-DIRECTORY plain|tls</pre>
 *
 * It writes "port N" when it listens, then "caller DN" or "refused REASON" for each request. The first element of the
 * path says what becomes of the reply: /axis, /tampered (changed after signing), /unsigned, /mixed-up (an answer to
 * another message). It ends when stdin does.
 */
public final class AxisService {
    private final MessageSecurity security;
    private final AxisServer axis;

    public static void main(String[] args) throws Exception {
        WSSConfig.init();
        HttpServer server = listen(args[2].equals("tls"), args[0]);
        server.createContext("/", new AxisService(args[0], args[1])::exchange);
        server.start();
        System.out.println("port " + server.getAddress().getPort());
        while (System.in.read() >= 0) {}
        server.stop(0);
        System.exit(0);
    }

    private static HttpServer listen(boolean tls, String hostCredential) throws Exception {
        InetSocketAddress anyPort = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
        if (!tls) {
            return HttpServer.create(anyPort, 0);
        }
        // Bouncy Castle, which canl puts first, makes X25519 keys that Java's TLS cannot use.
        System.setProperty("jdk.tls.namedGroups", "secp256r1");
        PEMCredential host = new PEMCredential(hostCredential, (char[]) null);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(new KeyManager[] {host.getKeyManager()}, null, null);
        HttpsServer server = HttpsServer.create(anyPort, 0);
        server.setHttpsConfigurator(new HttpsConfigurator(context));
        return server;
    }

    private AxisService(String hostCredential, String caDirectory) throws Exception {
        security = new MessageSecurity(hostCredential, caDirectory);
        SOAPService counter = new SOAPService(new RPCProvider());
        counter.setName("Counter");
        counter.setOption("className", Counter.class.getName());
        counter.setOption("allowedMethods", "add");
        counter.setOption("scope", "Application");
        SimpleProvider config = new SimpleProvider();
        config.deployService("Counter", counter);
        axis = new AxisServer(config);
    }

    private void exchange(HttpExchange http) throws IOException {
        int status = 200;
        byte[] reply;
        try {
            reply = answer(http.getRequestBody().readAllBytes(), http.getRequestURI().getPath());
        } catch (Exception e) {
            System.out.println("refused " + String.valueOf(e.getMessage()).lines().findFirst().orElse(""));
            status = 500;
            reply = fault(e);
        }
        http.getResponseHeaders().set("Content-Type", "text/xml; charset=utf-8");
        http.sendResponseHeaders(status, reply.length);
        http.getResponseBody().write(reply);
        http.close();
    }

    private byte[] answer(byte[] message, String path) throws Exception {
        Document request = Soap.parse(message);
        System.out.println("caller " + security.verify(request).identity());
        Document reply = Soap.parse(invoke(withoutHeader(message)));
        Addressing.answer(request, reply, path.startsWith("/mixed-up/") ? "uuid:of-another-message" : null);
        reply = Soap.parse(Soap.serialize(reply)); // only a tree that was read has the declarations that get hashed
        if (!path.startsWith("/unsigned/")) {
            security.sign(reply, true, true);
        }
        if (path.startsWith("/tampered/")) {
            tamper(reply);
        }
        return Soap.serialize(reply);
    }

    private byte[] invoke(byte[] request) throws Exception {
        MessageContext context = new MessageContext(axis);
        context.setRequestMessage(new Message(new ByteArrayInputStream(request), false, "text/xml", null));
        context.setTargetService("Counter");
        axis.invoke(context);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        context.getResponseMessage().writeTo(out);
        return out.toByteArray();
    }

    /** Axis gets what has been verified; the headers are done with. */
    private static byte[] withoutHeader(byte[] message) throws Exception {
        Document request = Soap.parse(message);
        request.getDocumentElement().removeChild(Soap.header(request));
        return Soap.serialize(request);
    }

    /** Changes the answer: the text of the innermost last element of the Body. */
    private static void tamper(Document reply) {
        Element e = Soap.body(reply);
        while (!Soap.children(e).isEmpty()) {
            e = Soap.children(e).get(Soap.children(e).size() - 1);
        }
        e.setTextContent("1000000");
    }

    private static byte[] fault(Exception e) {
        String words = String.valueOf(e.getMessage()).replace("&", "&amp;").replace("<", "&lt;");
        return ("<soapenv:Envelope xmlns:soapenv=\"" + Soap.ENVELOPE + "\"><soapenv:Body><soapenv:Fault>"
                + "<faultcode>soapenv:Server</faultcode><faultstring>" + words + "</faultstring>"
                + "</soapenv:Fault></soapenv:Body></soapenv:Envelope>").getBytes(StandardCharsets.UTF_8);
    }
}
