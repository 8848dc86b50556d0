import java.util.UUID;
import javax.xml.namespace.QName;
import org.apache.axis.AxisFault;
import org.apache.axis.client.Call;
import org.apache.axis.client.Service;
import org.apache.axis.message.SOAPHeaderElement;

/**
 * A plain Axis 1.4 client, as it works under Taverna and ActiveBPEL: no security, no key. It goes through an HTTP proxy
 * if the JVM has one set.
 *
 * <pre>AxisClient URL NUMBER [ADDRESSING-NAMESPACE]</pre>
 *
 * It calls add(NUMBER) and writes "result N" or "fault {namespace}code words". With a namespace it sends WS-Addressing
 * headers.
 */
public final class AxisClient {
    private static final String ACTION = "http://counter.com/CounterPortType/addRequest";

    public static void main(String[] args) throws Exception {
        Call call = (Call) new Service().createCall();
        call.setTargetEndpointAddress(args[0]);
        call.setOperationName(new QName("http://counter.com", "add"));
        call.setUseSOAPAction(true);
        call.setSOAPActionURI(ACTION);
        if (args.length > 2) {
            call.addHeader(new SOAPHeaderElement(args[2], "MessageID", "uuid:" + UUID.randomUUID()));
            call.addHeader(new SOAPHeaderElement(args[2], "To", args[0]));
            call.addHeader(new SOAPHeaderElement(args[2], "Action", ACTION));
        }
        try {
            System.out.println("result " + call.invoke(new Object[] {Integer.valueOf(args[1])}));
        } catch (AxisFault e) {
            System.out.println("fault " + e.getFaultCode() + " " + e.getFaultString());
        }
    }
}
