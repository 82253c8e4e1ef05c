"""Frequent words and rare letters of languages in Latin script, for `language_of`.

A word may be in several lists: it then speaks for each of them a little.
"""

from __future__ import annotations

WORDS: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": """the and of to in is that it for was on are as with his they be at one have this
            from or had by but what some we can out other were all there when up use your how said
            an each she which do their if will way about many then them would like so these her
            him has two more could go come did my no than been who its now find down day get made
            may part over new take only little work know years good very me our just where most
            after back also things a i you he not i' don' it' that' can' you' we' let' isn' doesn'
            didn' won' he' she' there' what' hello hi please thanks thank welcome yes why should
            because people before again here into say says tell today tomorrow morning night
            world friend mr mrs sure okay never always something
            met meet call ask give let us am any been old long own same than too
            great vs by mail send""",
        "de": """der die das und ist nicht ein eine einen einem einer eines ich du er sie es wir ihr
            mit von zu den dem des im am für auf an bei aus nach vor über unter durch gegen ohne um
            wie was wer wo warum wann auch nur noch schon sehr aber oder wenn dann dass weil als
            sind war waren bin bist seid haben hat habe hatte wird werden wurde kann können muss
            müssen soll will zum zur vom beim ja nein bitte danke hallo guten gute morgen tag abend
            welt mich mir dich dir uns euch sich mein dein sein kein keine heute gestern hier dort
            diese dieser dieses alle alles viel mehr gut immer wieder jetzt etwas nichts gibt geht
            macht doch mal so man herr frau uhr wünsche auf wiedersehen tschüss""",
        "es": """el la los las un una unos unas de del al y o que en es por para con no se su sus lo
            le les me te nos mi mis tu tus yo él ella ellos nosotros usted ustedes como más pero
            sin sobre entre cuando donde qué quién cómo cuándo dónde cuál muy también ya hay ser
            son está están estoy estamos era fue fueron tiene tengo tienen hacer hace puede todo
            todos toda esta este esto ese esa eso aquí allí hoy mañana ayer sí hola gracias favor
            buenos buenas días tardes noches adiós amigo señor señora porque así cada desde hasta
            tal mucho mucha siempre nunca bien bueno nada algo ahora después antes
            cuesta llega hora año años vamos mundo""",
        "fr": """le la les un une des du de et est en que qui dans pour pas ne ce cette ces il elle
            ils elles je tu nous vous on sur au aux avec son sa ses mon ma mes ton votre notre leur
            plus par mais ou où se sont était être avoir ai as avons avez ont fait faire tout tous
            toute comme si bien très aussi peut même quand comment pourquoi quoi quel quelle c' l'
            d' j' qu' n' s' m' t' aujourd' bonjour bonsoir merci salut oui non monsieur madame
            chez sans sous entre après avant ici là hier demain jamais toujours rien encore parce
            deux ça va voilà suis êtes sommes monde ami bonne nuit revoir plaît lorsque donc""",
        "it": """il lo la i gli le un uno una di del della dello dei degli delle da dal dalla in nel
            nella con su sul sulla per tra fra e o ma se che chi non è sono sei siamo siete ho hai
            ha abbiamo hanno era stato essere avere fare mi ti ci vi si mio mia tuo suo sua nostro
            questo questa quello quella come quando dove perché cosa anche più molto tutto tutti
            sempre mai oggi domani ieri qui qua così già ancora poi bene grazie prego ciao
            buongiorno buonasera buona notte sì signore signora al allo alla ai agli alle dell'
            all' nell' sull' l' un' c' quest' ogni solo dopo prima mondo amico fa sta stai andiamo
            ecco però anni anno ore ne costa vedi dalle dai""",
        "pt": """o a os as um uma uns umas de do da dos das em no na nos nas por pelo pela para com
            sem que e ou mas se não é são está estão estou foi era ser ter tem tenho têm há eu você
            vocês ele ela eles elas nós meu minha seu sua isso isto este esta esse essa aquele como
            quando onde quem qual porque por quê muito muita mais também já ainda só até depois
            antes hoje amanhã ontem aqui ali sim olá oi obrigado obrigada bom boa dia tarde noite
            tudo bem todos todas cada entre sobre fazer pode vai vamos ao aos à às mundo senhor
            senhora amigo desde dele dela nosso nossa pelos pelas fui mil lá
            nada sempre nunca""",
        "nl": """de het een en van ik je jij hij zij wij jullie ze we is zijn was waren ben bent
            heeft hebben heb had niet geen dat die dit deze in op met voor naar aan bij uit over
            door om als maar ook nog wel dan er daar hier wat wie waar wanneer waarom hoe kan
            kunnen moet moeten wil willen zal zullen wordt worden werd te ja nee hallo dag goede
            goedemorgen dank bedankt alstublieft wereld mijn jouw zijn haar ons onze hun mij hem
            heel veel meer alles niets iets altijd nooit vandaag morgen gisteren nu toch omdat
            tot tegen tussen zonder mensen goed gaat naar uur meneer mevrouw""",
        "pl": """i w we z ze na do nie to jest że się a o po za od dla przez przy czy jak co kto
            gdzie kiedy dlaczego ale lub albo oraz są był była było były być mam masz ma mamy mają
            jestem jesteś ja ty on ona ono my wy oni mnie mi cię ci go jej ich mu ten ta te tego
            tej tym tak już tylko bardzo też może można dziś dzisiaj jutro wczoraj tutaj tu tam
            dzień dobry dobra dobranoc cześć dziękuję proszę witaj świat pan pani wszystko wszyscy
            zawsze nigdy nic coś teraz który która które jego moja mój twój nasz bo gdy więc""",
        "tr": """ve bir bu şu o da de için ile ben sen biz siz onlar ne nasıl neden niçin nerede
            kim kaç mi mı mu mü değil var yok çok daha en gibi kadar ama fakat veya ya ki olan
            olarak oldu olduğu olur olsun her şey hiç şimdi bugün yarın dün burada orada evet hayır
            merhaba selam teşekkür teşekkürler ederim lütfen günaydın iyi günler akşamlar geceler
            dünya benim senin onun bizim sizin bana sana ona bize beni seni onu sonra önce üzerinde
            bana göre tüm bütün ediyor diye yeni güzel nasılsın istiyorum biraz""",
        "vi": """và là của có không được một những các cho với này đó trong người tôi bạn anh chị em
            ông bà chúng ta họ nó khi để ở đã đang sẽ rất cũng như thì mà nhưng hay hoặc vì nếu từ
            đến về ra vào lên xuống làm gì ai đâu nào sao thế nào hôm nay ngày mai xin chào cảm ơn
            vâng dạ đi thế giới nhiều hơn nhất lại còn chỉ theo sau trước tại bằng việc năm""",
        "sv": """och att det som en ett är på för av med den till inte har de jag du han hon vi ni
            om så men var från kan när ska skulle hade efter vid eller nu också hur vad vem varför
            mycket mer bara mig dig sig sin sitt sina min mitt din alla allt hej tack god morgon
            kväll natt ja nej hejdå här där idag igår imorgon världen finns blir blev vara varit
            måste vill mot mellan utan under över något ingen aldrig alltid bra dag""",
        "da": """og at det som en et er på for af med den til ikke har de jeg du han hun vi i om så
            men var fra kan når skal skulle havde efter ved eller nu også hvordan hvad hvem hvorfor
            meget mere kun mig dig sig sin min mit din alle alt hej tak god godt morgen aften nat
            ja nej her der være været måtte vil uden noget ingen aldrig altid bliver blev verden
            hedder""",
        "no": """og å at det som en et er på for av med den til ikke har de jeg du han hun vi dere
            om så men var fra kan når skal skulle hadde etter ved eller nå også hvordan hva hvem
            hvorfor mye mer bare meg deg seg sin min mitt din alle alt hei takk god godt morgen
            kveld natt ja nei her der være vært måtte vil uten noe ingen aldri alltid blir ble
            verden heter""",
        "id": """yang dan di dari ini itu untuk dengan tidak adalah pada dalam akan ke saya kamu
            anda dia kami kita mereka ada juga sudah telah bisa dapat oleh karena seperti atau
            tetapi tapi jika kalau apa siapa mana kapan mengapa bagaimana sangat lebih banyak hanya
            lagi belum masih harus bukan ya selamat pagi siang sore malam terima kasih halo apa
            kabar baik hari besok kemarin sekarang orang dunia bahwa sebuah tersebut sampai
            setelah nya aku tolong""",
        "ro": """și să de la în cu pe nu este sunt un o care din pentru mai ce că a al ai ale am are
            au eu tu el ea noi voi ei ele fi fost era dar sau dacă când unde cine cum de ce foarte
            tot toate toți acum azi mâine ieri aici acolo da bună ziua seara dimineața mulțumesc rog
            salut lume meu mea ta lui lor sa se îmi îți te mă prin după până fără între acest
            această aceasta acesta nimic ceva niciodată întotdeauna bine vă ne""",
        "hu": """a az és egy nem hogy is van volt ez azt de meg csak már még ha mint vagy ki mi én
            te ő mi ti ők nekem neked mit miért hol mikor hogyan milyen nagyon jó igen köszönöm
            kérem szia sziasztok helló üdvözlöm napot reggelt estét éjszakát világ itt ott ma
            holnap tegnap most minden mindig soha semmi valami ezt ezek azok lesz lehet kell tud
            vagyok vagy vagyunk vannak lenni után előtt között szerint nélkül fel el be ki le
            pedig akkor sem""",
        "cs": """a v ve z ze na do se je že to si i o po za od pro při aby jak co kdo kde kdy proč
            ale nebo jsou jsem jsi jsme jste byl byla bylo byli být mám máš má máme mají já ty on
            ona my vy oni mě mi tě ti ho jí jich ten ta to toho tak už jen velmi také může dnes
            zítra včera tady tam ano ne dobrý den dobré ráno večer noc ahoj děkuji děkuju prosím
            svět pan paní všechno vždy nikdy nic něco teď který která které jeho můj tvůj náš
            protože když jako není""",
        "fi": """ja on ei se että hän minä sinä me te he oli ovat olen olet olemme mutta kun jos
            niin kuin mikä mitä kuka missä milloin miksi miten myös vain jo vielä hyvin hyvää kyllä
            kiitos hei moi terve päivää huomenta iltaa yötä ole hyvä tämä tuo ne nämä joka jotka
            tai sekä minun sinun hänen meidän teidän heidän ollut olla voi täytyy pitää tänään
            huomenna eilen täällä siellä nyt aina koskaan kaikki mitään jotain maailma kanssa
            jälkeen ennen ilman sitä sen""",
    }.items()
}

CORE: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the of and to is", "de": "der die das und ist im",
        "es": "el los las del de la un en una",
        "fr": "le les des du de la un est et une au", "it": "il gli di che della nel la un una",
        "pt": "os da do de em um uma na no", "nl": "de het een van in", "pl": "na do nie się",
        "tr": "ve bir bu", "sv": "och att det som är", "da": "og det som er",
        "no": "og det som er", "ro": "și să în pe nu este", "hu": "az és egy hogy",
        "cs": "na se je",
        "id": "yang dan di", "fi": "ja on ei", "vi": "và là của",
    }.items()
}  # fmt: skip
"""Words so frequent in a language that they speak for it even where another one has them, too."""

ENDINGS: dict[str, tuple[str, ...]] = {
    "en": ("ing", "ness", "ght"), "de": ("ung", "ungen", "keit", "heit", "lich", "chen", "schen"),
    "es": ("ción", "ciones", "ñar", "aron", "ieron", "illo", "ó"), "fr": ("eux", "euse", "aient"),
    "it": ("zione", "zioni", "tà", "arono", "ggio", "cchi"), "pt": ("ção", "ções", "ões", "inho"),
    "nl": ("ijk", "heid", "tje", "ijn"), "pl": ("ość", "ów", "owie", "ego", "iej"),
    "tr": ("lar", "ler", "mak", "mek", "yor"), "sv": ("ningen", "arna", "orna"),
    "ro": ("ului", "ilor", "ește", "iune"), "hu": ("ság", "ség", "nak", "ban", "ben"),
    "cs": ("ová", "ého", "ých", "ost"), "fi": ("inen", "ssä", "taan", "ksi"),
}  # fmt: skip
"""Ends of words of five letters or more."""

MARKS: dict[str, frozenset[str]] = {
    language: frozenset(marks)
    for language, marks in {
        "de": "äöüß", "es": "ñ¿¡áéíóúü", "fr": "éèêëàâîïôûùçœ", "it": "àèéìòù",
        "pt": "ãõáâàçéêíóôú", "nl": "ëï", "pl": "ąćęłńóśźż", "tr": "çğıöşü",
        "vi": "ăâđêôơưàảãáạằẳẵắặầẩẫấậèẻẽéẹềểễếệìỉĩíịòỏõóọồổỗốộờởỡớợùủũúụừửữứựỳỷỹýỵ",
        "sv": "åäö", "da": "æøå", "no": "æøå", "ro": "ășțîâşţ", "hu": "őűáéíóöúü",
        "cs": "ěščřžýáíéúůďťň", "fi": "äö",
    }.items()
}  # fmt: skip
"""Letters beyond a to z, and marks, that a language uses."""
